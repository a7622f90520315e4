"""The judge: a batch of raw records of one partition -> dispositions, record lines, new states.

Pure and deterministic (promise P3): the answer depends on the records, the state held before them,
the status map and the keyring. The loop over records is the product's hot path: no await, lock, log
or metric in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from audit_stream.errors import AuditError, NoYearKey
from audit_stream.evidence.ledger import ABSENT, INTERMEDIATE, LOST, QUARANTINED, Run, runs_of
from audit_stream.evidence.rawmac import NULL_LENGTH, POSITION
from audit_stream.evidence.segment import header_time
from audit_stream.flatten.event import Rejected, read_event
from audit_stream.flatten.status_map import StatusMap
from audit_stream.precedence.matrix import BY_RANK, RANK, State, stream_prefix
from audit_stream.privacy.plain import Rise
from audit_stream.privacy.sealer import RecordSealer

#: Header of a rekeyed or retried record: where it first stood, ``topic/partition/offset``.
ORIGIN_HEADER = "audit-origin"
#: How the name of a topic ends that has another's records, each under its message id.
REKEYED = "-rekeyed"
#: Quarantine reason of an unexpected exception in pure code; always alarms.
INTERNAL = "internal"


#: ``topic/partition/offset``; a topic's name has at most 249 characters.
_POSITION_TEXT = re.compile(rb"[A-Za-z0-9._-]{1,249}/[0-9]{1,10}/[0-9]{1,19}").fullmatch


class RawRecord(Protocol):
    """What the judge reads of a record: the Kafka client's and its parser's both fit."""

    @property
    def offset(self) -> int:
        """Kafka offset."""
        ...

    @property
    def timestamp(self) -> int:
        """Kafka timestamp, ms; -1 for none."""
        ...

    @property
    def key(self) -> bytes | None:
        """Kafka key."""
        ...

    @property
    def value(self) -> bytes | None:
        """The raw event."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Kafka headers."""
        ...


#: State of a message by table key, from overlay and table; None when nothing was archived.
Lookup = Callable[[bytes], State | None]


@dataclass(slots=True)
class Chunk:
    """Dispositions of the offsets [base, next) of one partition, ready for the segment builder."""

    base: int
    next: int
    runs: list[Run] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)  # raw integrity hashes
    tags: list[bytes] = field(default_factory=list)
    states: dict[bytes, State] = field(default_factory=dict)
    raw: bytes = b""  # what the raw MAC takes of the present offsets
    first_ts: int | None = None
    last_ts: int | None = None
    quarantined: list[tuple[str, Any]] = field(default_factory=list)  # (reason, record)
    regressed: dict[tuple[int, int], int] = field(default_factory=dict)  # (held, came) ranks
    size: int = 0  # bytes of the lines


class Judge:
    """Judges the records of one stream and partition under one status map and key epoch."""

    def __init__(
        self, stream: str, status_map: StatusMap, sealer: RecordSealer, lookup: Lookup,
        overlay: Mapping[bytes, State] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self._prefix = stream_prefix(stream)
        self._map = status_map
        self._sealer = sealer
        self._overlay = overlay
        self._lookup = lookup

    def judge(
        self, records: Sequence[RawRecord], base: int, end: int, limit: int,
        lost_before: int = 0,
    ) -> tuple[Chunk, int]:  # fmt: skip
        """``(chunk, used)``: the first records, until `limit` are archived.

        `base` is the first offset to cover; `end` what is covered once all records are used (the
        consumer's position: trailing markers are holes). Holes are ``l`` below `lost_before`, the
        log's start, else ``x``.
        """
        chunk = Chunk(base, base)
        frames: list[bytes] = []
        rises: list[Rise] = []
        used = 0
        letters: list[str | Run] = []  # of a hole, a run: it may have any length
        add_frame, add_letter = frames.append, letters.append
        pack, status_map, decide = POSITION.pack, self._map, self._decide
        expected = base
        for record in records:
            offset = record.offset
            if offset != expected:
                letters += _hole(expected, offset, lost_before)
            value = record.value
            add_frame(pack(offset, NULL_LENGTH if value is None else len(value)))
            if value:
                add_frame(value)
            try:
                event = read_event(value, status_map)
                if event is None:
                    add_letter(INTERMEDIATE)
                elif type(event) is not str:
                    add_letter(decide(event, record, chunk, rises))
                else:
                    raise Rejected(event)
            except Exception as error:
                add_letter(_quarantine(error, record, chunk))
            expected = offset + 1
            used += 1
            if len(rises) >= limit:
                break
        if used:
            chunk.first_ts = header_time(records[0].timestamp)
            chunk.last_ts = header_time(records[used - 1].timestamp)
        if used == len(records) and end > expected:
            letters += _hole(expected, end, lost_before)
            expected = end
        chunk.next = expected
        chunk.runs = runs_of(letters)
        chunk.raw = b"".join(frames)
        chunk.lines, chunk.hashes = self._sealer.seal(rises)
        chunk.size = sum(map(len, chunk.lines))
        return chunk, used

    def _decide(
        self, event: Any, record: RawRecord, chunk: Chunk, rises: list[Rise]
    ) -> str:  # fmt: skip
        timestamp = record.timestamp
        if timestamp < 0:
            raise Rejected("invalid:kafka-timestamp")
        if record.key != event.message_uuid.encode():
            raise Rejected("misplaced")
        origin = _origin(record.headers) if record.headers else None
        key = self._prefix + f"{event.tenant_id}\x00{event.message_uuid}".encode()
        states = chunk.states
        held = states.get(key) or self._overlay.get(key) or self._lookup(key)
        rank = RANK[event.delivery_status]
        held_rank = held.rank if held else 0
        letter = BY_RANK[held_rank][rank]
        if letter != "a":
            if letter == "r":
                pair = (held_rank, rank)
                chunk.regressed[pair] = chunk.regressed.get(pair, 0) + 1
            return letter
        offset = record.offset
        revision, before = (held.revision + 1, held.offset) if held else (1, None)
        rise, tag = self._sealer.rise_of(event, offset, timestamp, revision, before, origin)
        rises.append(rise)
        chunk.tags.append(tag)
        states[key] = State(rank, revision, offset, timestamp)
        return letter


def _quarantine(error: Exception, record: RawRecord, chunk: Chunk) -> str:
    """The letter of a record that cannot be archived, whose reason the error tells."""
    if isinstance(error, Rejected):
        reason = str(error)
    elif isinstance(error, NoYearKey):
        # A producer's clock (CreateTime topics); were it ours, the brake would stop the flood.
        reason = "invalid:kafka-timestamp"
    elif isinstance(error, AuditError):
        raise error  # ours: it concerns every record
    else:
        reason = INTERNAL
    chunk.quarantined.append((reason, record))
    return QUARANTINED


def _hole(at: int, until: int, lost_before: int) -> list[Run]:
    if at >= lost_before:
        return [(until - at, ABSENT)]
    if until <= lost_before:
        return [(until - at, LOST)]
    return [(lost_before - at, LOST), (until - lost_before, ABSENT)]


def _origin(
    headers: Sequence[tuple[str, bytes | None]] | Mapping[str, bytes | None],
) -> str | None:
    """The origin header's position; `Rejected` for any other text: it goes into clear `pub`."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    for name, value in pairs:
        if name == ORIGIN_HEADER:
            if value is None or not _POSITION_TEXT(value):
                raise Rejected("invalid:origin")
            return value.decode("ascii")
    return None

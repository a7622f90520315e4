"""The segment builder: chunks in, one sealed segment out. A state machine: add, due, seal.

Pure: the time comes as an argument. Cuts fall between chunks, so a chunk must not archive more
records than a segment may hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from audit_stream.evidence import ledger
from audit_stream.evidence.encoding import time_text
from audit_stream.evidence.formats import FIRST, FORMATS, number_of
from audit_stream.evidence.layout import SegmentName, subject_name
from audit_stream.evidence.rawmac import new_raw_mac
from audit_stream.evidence.segment import Header, encode
from audit_stream.evidence.signing import LineSigner
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.evidence.tree import leaf_hash, record_root
from audit_stream.precedence.matrix import State
from audit_stream.seal.judge import Chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a segment is full: records, bytes of lines, ms since its first offset came."""

    records: int
    size: int
    age_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a partition's chain ends: what the next segment must continue."""

    next: int  # first offset not covered
    seq: int  # seq of the next segment
    leaf: str | None  # leaf hash of the last header, None at genesis
    format: int = FIRST.number  # of the last segment: what continues it has no lower one


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What every segment of a process shares: archive, software, store, status map, keys."""

    archive: str
    assurance: str
    writer: str
    status_map: str
    key_epoch: int
    raw_key: bytes
    format: int = FIRST.number  # the one told to write


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed segment with all that must be stored and applied for it."""

    name: SegmentName
    data: bytes
    header: Header
    leaf: bytes
    tags: bytes
    states: dict[bytes, State]

    @property
    def subject_name(self) -> str:
        """Name of the subject object that belongs to this very segment."""
        return subject_name(self.name, self.leaf)

    @property
    def link(self) -> Link:
        """Where the chain ends once this segment is stored."""
        header = self.header
        return Link(
            next=header.next, seq=header.seq + 1, leaf=self.leaf.hex(), format=number_of(header.v)
        )

    def metadata(self, regulatory_tag: str) -> dict[str, str]:
        """Object metadata (formats.md section 3)."""
        return {
            "sha256": sha256(self.data).hexdigest(),
            "idempotency_key": str(self.name),
            "legal_hold": "true",
            "regulatory_tag": regulatory_tag,
            "leaf_hash": self.leaf.hex(),
            "next": str(self.header.next),
        }


class SegmentBuilder:
    """Gathers the chunks of one stream and partition from `base` on."""

    def __init__(self, base: int, raw_key: bytes) -> None:
        self.base = base
        self.next = base
        self.size = 0
        self.began_ms: int | None = None
        self._mac = new_raw_mac(raw_key)
        self._ledger = ledger.Writer()
        self._lines: list[bytes] = []
        self._hashes: list[bytes] = []
        self._tags: list[bytes] = []
        self._states: dict[bytes, State] = {}
        self._first_ts: int | None = None
        self._last_ts: int | None = None

    @property
    def count(self) -> int:
        """Records gathered."""
        return len(self._lines)

    @property
    def states(self) -> dict[bytes, State]:
        """What the records gathered make of their messages."""
        return self._states

    @property
    def empty(self) -> bool:
        """Whether no offset is covered yet."""
        return self.next == self.base

    def fits(self, chunk: Chunk, limits: Limits) -> bool:
        """Whether the chunk can be added without passing a limit; anything fits an empty one."""
        return self.empty or (
            self.count + len(chunk.lines) <= limits.records
            and self.size + chunk.size <= limits.size
        )

    def add(self, chunk: Chunk, now_ms: int) -> None:
        """Take a chunk that begins where this builder ends."""
        if chunk.base != self.next:
            raise ValueError(f"chunk at {chunk.base} does not continue {self.next}")
        self._mac.update(chunk.raw)
        self._ledger.add(chunk.runs)
        self._lines += chunk.lines
        self._hashes += chunk.hashes
        self._tags += chunk.tags
        self._states.update(chunk.states)
        self.size += chunk.size
        self.next = chunk.next
        if chunk.first_ts is not None:
            self._first_ts = chunk.first_ts if self._first_ts is None else self._first_ts
            self._last_ts = chunk.last_ts
        if self.began_ms is None:
            self.began_ms = now_ms

    def due(self, now_ms: int, limits: Limits) -> bool:
        """Whether it is time to seal: full, or old enough."""
        if self.empty or self.began_ms is None:
            return False
        return (
            self.count >= limits.records
            or self.size >= limits.size
            or now_ms - self.began_ms >= limits.age_ms
        )

    @property
    def ledger(self) -> str:
        """The disposition of each offset covered, coded."""
        return self._ledger.coded

    @property
    def lines(self) -> Sequence[bytes]:
        """The record lines, with their newlines."""
        return self._lines

    @property
    def body(self) -> bytes:
        """All record lines."""
        return b"".join(self._lines)

    def header(
        self, link: Link, stream: StreamObject, partition: int, origin: Origin, kid: str,
        sealed_at: str, void: Sequence[dict[str, str]] = (), body: bytes | None = None,
    ) -> Header:  # fmt: skip
        """Line 1 of the segment that continues `link`. `body`: all record lines, if at hand."""
        if link.next != self.base:
            raise ValueError(f"segment at {self.base} does not continue the chain at {link.next}")
        form = FORMATS[max(origin.format, link.format)]
        return Header(
            archive=origin.archive, assurance=origin.assurance, base=self.base,
            body=sha256(self.body if body is None else body).hexdigest(),
            count=self.count, first_ts=self._first_ts, generation=stream.generation,
            key_epoch=origin.key_epoch, kid=kid,
            last_ts=self._last_ts, ledger=self.ledger, next=self.next,
            partition=partition, prev=link.leaf, raw=self._mac.hexdigest(),
            root=record_root(self._hashes).hex(),
            sealed_at=sealed_at, seq=link.seq, status_map=origin.status_map,
            stream=stream.stream, topic=stream.topic, void=list(void), writer=origin.writer,
            record=form.record, v=form.segment,
        )  # fmt: skip

    def seal(
        self, link: Link, stream: StreamObject, partition: int, origin: Origin, signer: LineSigner,
        now_ms: int, void: Sequence[dict[str, str]] = (),
    ) -> Sealed:  # fmt: skip
        """The segment that continues `link`. Repeatable: another `void` gives another name."""
        sealed_at = time_text(now_ms)
        body = self.body
        header = self.header(link, stream, partition, origin, signer.kid, sealed_at, void, body)
        line = header.line()
        name = SegmentName(stream.topic, stream.generation, partition, self.base, len(void))
        data = encode(line, signer.signature_line(line), body)
        return Sealed(name, data, header, leaf_hash(line), b"".join(self._tags), self._states)

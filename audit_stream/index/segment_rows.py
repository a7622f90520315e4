"""How a segment becomes rows: where its records lie, whose they are, what they count as."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from audit_stream.archive.chain import Found
from audit_stream.archive.tags import Tags
from audit_stream.errors import FormatError
from audit_stream.evidence import ledger
from audit_stream.index.counts import GROUP_BYTES, Counting, Get, Tally
from audit_stream.index.ids import TENANT_BYTES, Ids
from audit_stream.index.rows import (
    CARRIER,
    INDEX,
    MESSAGE,
    NUMBER,
    PLACE_BYTES,
    POSITION,
    TAG,
    TAGGED,
    Pair,
    SegmentRow,
    Tagged,
)
from audit_stream.privacy.subject_object import NO_TAG

_OFFSET_DIGITS = 19


class _Pub(msgspec.Struct, gc=False):
    carrier_error_code: str | None
    carrier_message_id: str | None
    communication_type: str
    delivery_status: str
    ingestion_timestamp: str
    message_uuid: str
    origin: str | None
    originating_workflow_id: str
    platform_tenant_id: str
    revision: int
    supersedes: str | None


class _Line(msgspec.Struct, gc=False):
    pub: _Pub


_lines_of = msgspec.json.Decoder(_Line).decode_lines


def segment_rows(
    found: Found, row: SegmentRow, tags: Tags | None, ids: Ids, get: Get
) -> list[Pair]:  # fmt: skip
    """All rows of a segment but its place's. The rebuild's hot path: one pass, no checks of a line
    beyond those of its types, for the body's hash was checked and the line's is at every look-up.
    """
    header = found.segment.header
    runs = ledger.decode(header.ledger, header.next - header.base)
    if found.disposed:  # its offsets count as they did; where a record of it lay, nobody asks
        return [(row.key, row.encode()), *Tally(header, runs, row.place, get).rows()]
    pubs = _pubs(found)
    offsets = ledger.archived_offsets(runs, header.base)
    rows: list[Pair] = [(row.key, row.encode())]
    add, id_of, tenant_of = rows.append, ids.id, ids.tenant
    number, position, place, base = NUMBER.pack, POSITION.pack, row.place, row.base
    tagged = TAGGED.pack(row.time, place, base, 0)[: -INDEX.size]
    values = [NO_TAG] * len(pubs) if tags is None else tags.values
    tally = Tally(header, runs, place, get)
    count = _Counting(tally, get).count
    for index, (line, offset, tag) in enumerate(zip(pubs, offsets, values, strict=True)):
        pub = line.pub
        message = id_of(pub.message_uuid) + tenant_of(pub.platform_tenant_id)
        key = MESSAGE + message + place
        group = count(pub, key, offset)
        add((key + number(offset), position(base, index, pub.revision, group)))
        if tag != NO_TAG:
            add((TAG + tag + tagged + INDEX.pack(index), message))
        if pub.carrier_message_id is not None:
            add((CARRIER + id_of(pub.carrier_message_id) + message, b""))
    rows += tally.rows()
    rows.sort()  # RocksDB takes what comes in order in two thirds of the time
    return rows


class _Counting:
    """Counts each record's message in one group, and not any more in that of the record before."""

    def __init__(self, tally: Tally, get: Get) -> None:
        self.tally, self._get = tally, get
        self._groups: dict[tuple[str | None, ...], Counting] = {}
        self._here: dict[int, Counting] = {}  # of the records in this segment, by offset

    def count(self, pub: _Pub, key: bytes, offset: int) -> bytes:
        """The group it is in from now on. `key` is that of its message's rows in this place."""
        common = (
            pub.ingestion_timestamp[:10], pub.platform_tenant_id, pub.originating_workflow_id,
            pub.communication_type, pub.delivery_status, pub.carrier_error_code,
        )  # fmt: skip
        group = self._groups.get(common)
        if group is None:
            group = self.tally.group(_tenant(key), common[0], common[1:])
            self._groups[common] = group
        group.change += 1
        if pub.supersedes is not None:
            self._take_away(key, pub.supersedes)
        if pub.origin is not None:
            self.tally.retry(pub.origin)
        self._here[offset] = group
        return group.named

    def _take_away(self, key: bytes, source: str) -> None:
        text = source.rpartition("/")[2]
        if not (text.isdecimal() and len(text) <= _OFFSET_DIGITS):
            raise FormatError(f"a record supersedes {source[:80]!r}, which is no place")
        offset = int(text)
        before = self._here.get(offset)
        if before is not None:
            before.change -= 1
        elif (value := self._get(key + NUMBER.pack(offset))) is not None:
            self.tally.take_away(_tenant(key), value[-GROUP_BYTES:])


def _tenant(key: bytes) -> bytes:
    return key[-PLACE_BYTES - TENANT_BYTES : -PLACE_BYTES]


def tag_rows(found: Found, row: SegmentRow, tags: Tags, ids: Ids) -> list[Pair]:
    """Only the tag rows of a segment, of a subject object that came late or was rewritten."""
    rows: list[Pair] = []
    for index, (line, tag) in enumerate(zip(_pubs(found), tags.values, strict=True)):
        if tag != NO_TAG:
            place = Tagged(time=row.time, place=row.place, base=row.base, index=index)
            pub = line.pub
            message = ids.message(pub.platform_tenant_id, pub.message_uuid)
            rows.append((TAG + tag + place.encode(), message))
    return rows


def _pubs(found: Found) -> Sequence[_Line]:
    header = found.segment.header
    try:
        pubs = _lines_of(found.segment.body)
    except msgspec.DecodeError as error:
        raise FormatError(f"{found.name} holds a line that is no record") from error
    if len(pubs) != header.count:
        raise FormatError(f"{found.name} has {len(pubs)} record lines, line 1 says {header.count}")
    return pubs

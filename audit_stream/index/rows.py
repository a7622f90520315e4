"""The index's rows: keys and values of the RocksDB database, and how a segment becomes rows.

    meta      00 meta                          version, check of archive and keyring
    place     p place                          `Indexed`: stream, partition, how far it is indexed
    segment   s place base                     `SegmentRow`
    groups    g place base                     `Groups`, once it was looked into
    message   m message tenant place offset    `Position`
    carrier   c carrier-message message tenant
    tag       t tag time place base index      message tenant
    logged    l leaf hash of a header          its place in the archive log
    log       00 log                           leaves of the log that have their rows
    root      00 root                          its root at that size

Ids are kept as keyed BLAKE2b (message and carrier message id 16 bytes, tenant 8): fixed in size,
and without the keyring the files tell nobody which messages there are. Integers are big-endian, so
that keys sort as their numbers do; `place` is 8 bytes that stand for a stream and partition. No
personal data and no integrity hash is in any row (formats.md section 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct
from typing import Self

import msgspec

from audit_stream.archive.chain import Found
from audit_stream.archive.tags import DIGEST_BYTES, Tags
from audit_stream.errors import FormatError
from audit_stream.evidence import ledger
from audit_stream.evidence.batch import Batch
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.index.ids import Ids
from audit_stream.privacy.keytree import TAG_BYTES
from audit_stream.privacy.subject_object import NO_TAG
from audit_stream.seal.builder import Link

Pair = tuple[bytes, bytes | None]
META, PLACE, SEGMENT, GROUPS, MESSAGE, CARRIER, TAG = (
    b"\x00meta", b"p", b"s", b"g", b"m", b"c", b"t",
)  # fmt: skip
LOGGED, LOG_SIZE, LOG_ROOT = b"l", b"\x00log", b"\x00root"
_NO_LEAF = bytes(32)
#: The digest of a subject object that was not there, or not to be read.
NO_TAGS = bytes(DIGEST_BYTES)
_PLACE_BYTES = 8
_NUMBER = Struct(">Q")
_INDEX = Struct(">I")
_INDEXED = Struct(">16sIIQQQ32s")
_SEGMENT = Struct(f">QHIQ32s{DIGEST_BYTES}s")
_POSITION = Struct(">QIH")
_TAGGED = Struct(f">Q{_PLACE_BYTES}sQI")
#: Bytes of a tag row's key behind its tag.
TAGGED_BYTES = _TAGGED.size


def log_rows(batch: Batch, root: bytes) -> list[Pair]:
    """Where a batch's leaves stand, how far the log has rows then, and its root there."""
    rows: list[Pair] = [
        (LOGGED + leaf.hash, _NUMBER.pack(at))
        for at, leaf in enumerate(batch.leaves, start=batch.old_size) if leaf.name is not None
    ]  # fmt: skip
    return [*rows, (LOG_ROOT, root), (LOG_SIZE, _NUMBER.pack(batch.new_size))]


def number_of(value: bytes | None) -> int | None:
    """A row's number, if there is the row."""
    return None if value is None else int(_NUMBER.unpack(value)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """One stream and partition, and how far it is indexed."""

    topic: str
    generation: int
    partition: int
    stream: str  # hex
    link: Link  # what continues the last segment indexed
    records: int = 0

    @classmethod
    def begin(cls, stream: StreamObject, partition: int, genesis: Link) -> Self:
        """Nothing is indexed yet."""
        return cls(topic=stream.topic, generation=stream.generation, partition=partition,
                   stream=stream.stream, link=genesis)  # fmt: skip

    @property
    def place(self) -> bytes:
        """The 8 bytes that stand for it in keys."""
        text = f"{self.stream}/{self.generation}/{self.partition}/{self.topic}".encode()
        return blake2b(text, digest_size=_PLACE_BYTES).digest()

    @property
    def key(self) -> bytes:
        """Of its row."""
        return PLACE + self.place

    def __str__(self) -> str:
        return f"{self.topic}/{self.generation}/{self.partition}"

    def segment_name(self, base: int, attempt: int) -> SegmentName:
        """The name of one of its segments."""
        return SegmentName(self.topic, self.generation, self.partition, base, attempt)

    def encode(self) -> bytes:
        """The row's value."""
        link = self.link
        leaf = _NO_LEAF if link.leaf is None else bytes.fromhex(link.leaf)
        fixed = _INDEXED.pack(
            bytes.fromhex(self.stream), self.generation, self.partition, link.next, link.seq,
            self.records, leaf,
        )  # fmt: skip
        return fixed + self.topic.encode()

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """The inverse of `encode`."""
        stream, generation, partition, following, seq, records, leaf = _INDEXED.unpack_from(value)
        link = Link(next=following, seq=seq, leaf=leaf.hex() if seq else None)
        return cls(
            topic=value[_INDEXED.size :].decode(), generation=generation, partition=partition,
            stream=stream.hex(), link=link, records=records,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRow:
    """An indexed segment."""

    place: bytes
    base: int
    next: int
    attempt: int  # of its name: junk objects passed over
    count: int
    time: int  # first_ts of its header, ms: what a customer's messages are ordered by
    leaf: bytes
    tags: bytes = NO_TAGS  # digest of the subject object that its tag rows were read from

    @classmethod
    def of(cls, place: bytes, found: Found, tags: Tags | None) -> Self:
        """The row of a segment that was found in its chain."""
        header = found.segment.header
        return cls(place=place, base=header.base, next=header.next, attempt=found.name.attempt,
                   count=header.count, time=header.first_ts or 0, leaf=found.segment.leaf,
                   tags=NO_TAGS if tags is None else tags.digest)  # fmt: skip

    @property
    def key(self) -> bytes:
        """Of the row."""
        return segment_key(self.place, self.base)

    @property
    def groups_key(self) -> bytes:
        """Of the row that holds its `Groups`."""
        return GROUPS + self.place + _NUMBER.pack(self.base)

    def encode(self) -> bytes:
        """The row's value."""
        return _SEGMENT.pack(
            self.next, self.attempt, self.count, self.time, self.leaf, self.tags
        )  # fmt: skip

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> Self:
        """The row of a key and value."""
        following, attempt, count, time, leaf, tags = _SEGMENT.unpack(value)
        place, base = key[1 : 1 + _PLACE_BYTES], _NUMBER.unpack_from(key, 1 + _PLACE_BYTES)[0]
        return cls(place=place, base=base, next=following, attempt=attempt, count=count, time=time,
                   leaf=leaf, tags=tags)  # fmt: skip


def segment_key(place: bytes, base: int) -> bytes:
    """Key of a segment's row."""
    return SEGMENT + place + _NUMBER.pack(base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a record of a message lies."""

    place: bytes
    offset: int
    base: int
    index: int  # of the record line in its segment
    revision: int

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> Self:
        """The position a message row tells."""
        base, index, revision = _POSITION.unpack(value)
        return cls(place=key[-16:-8], offset=_NUMBER.unpack(key[-8:])[0], base=base, index=index,
                   revision=revision)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Tagged:
    """A tag row: a record of a person, in the order a customer's records come in."""

    time: int
    place: bytes
    base: int
    index: int

    def encode(self) -> bytes:
        """The key behind its tag."""
        return _TAGGED.pack(self.time, self.place, self.base, self.index)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The inverse of `encode`."""
        time, place, base, index = _TAGGED.unpack(data)
        return cls(time=time, place=place, base=base, index=index)


def tag_of(key: bytes) -> bytes:
    """The tag in a tag row's key."""
    return key[len(TAG) : len(TAG) + TAG_BYTES]


class _Pub(msgspec.Struct, gc=False):
    carrier_message_id: str | None
    message_uuid: str
    platform_tenant_id: str
    revision: int


class _Line(msgspec.Struct, gc=False):
    pub: _Pub


_lines_of = msgspec.json.Decoder(_Line).decode_lines


def segment_rows(
    found: Found, row: SegmentRow, tags: Tags | None, ids: Ids
) -> list[Pair]:  # fmt: skip
    """All rows of a segment but its place's. The rebuild's hot path: one pass, no checks of a line
    beyond those of its types, for the body's hash was checked and the line's is at every look-up.
    """
    header = found.segment.header
    pubs = _pubs(found)
    offsets = ledger.archived_offsets(
        ledger.decode(header.ledger, header.next - header.base), header.base
    )
    rows: list[Pair] = [(row.key, row.encode())]
    add, id_of, tenant_of = rows.append, ids.id, ids.tenant
    number, position, place, base = _NUMBER.pack, _POSITION.pack, row.place, row.base
    tagged = _TAGGED.pack(row.time, place, base, 0)[: -_INDEX.size]
    values = [NO_TAG] * len(pubs) if tags is None else tags.values
    for index, (line, offset, tag) in enumerate(zip(pubs, offsets, values, strict=True)):
        pub = line.pub
        message = id_of(pub.message_uuid) + tenant_of(pub.platform_tenant_id)
        add((MESSAGE + message + place + number(offset), position(base, index, pub.revision)))
        if tag != NO_TAG:
            add((TAG + tag + tagged + _INDEX.pack(index), message))
        if pub.carrier_message_id is not None:
            add((CARRIER + id_of(pub.carrier_message_id) + message, b""))
    rows.sort()  # RocksDB takes what comes in order in two thirds of the time
    return rows


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

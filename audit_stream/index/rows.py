"""The index's rows: keys and values of the RocksDB database.

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
    forgotten 00 disposed                      disposal certificates that were followed

and what `counts` counts.

Ids are kept as keyed BLAKE2b (message and carrier message id 16 bytes, tenant 8): fixed in size,
and without the keyring the files tell nobody which messages there are. Integers are big-endian, so
that keys sort as their numbers do; `place` is 8 bytes that stand for a stream and partition. No
personal data and no integrity hash is in any row (formats.md section 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct
from typing import Self

from audit_stream.archive.chain import Found
from audit_stream.archive.tags import DIGEST_BYTES, Tags
from audit_stream.evidence.batch import Batch
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.index.counts import GROUP_BYTES
from audit_stream.privacy.keytree import TAG_BYTES
from audit_stream.seal.builder import Link

Pair = tuple[bytes, bytes | None]
META, PLACE, SEGMENT, GROUPS, MESSAGE, CARRIER, TAG = (
    b"\x00meta", b"p", b"s", b"g", b"m", b"c", b"t",
)  # fmt: skip
LOGGED, LOG_SIZE, LOG_ROOT = b"l", b"\x00log", b"\x00root"
#: There while tag rows were deleted that are in the database's files still.
TO_COMPACT = b"\x00compact"
FORGOTTEN = b"\x00disposed"
_NO_LEAF = bytes(32)
#: The digest of a subject object that was not there, or not to be read.
NO_TAGS = bytes(DIGEST_BYTES)
PLACE_BYTES = 8
NUMBER = Struct(">Q")
INDEX = Struct(">I")
_INDEXED = Struct(">16sIIQQQ32s")
_SEGMENT = Struct(f">QHIQ32s{DIGEST_BYTES}s")
POSITION = Struct(f">QIH{GROUP_BYTES}s")
TAGGED = Struct(f">Q{PLACE_BYTES}sQI")
#: Bytes of a tag row's key behind its tag.
TAGGED_BYTES = TAGGED.size


def log_rows(batch: Batch, root: bytes) -> list[Pair]:
    """Where a batch's leaves stand, how far the log has rows then, and its root there."""
    rows: list[Pair] = [
        (LOGGED + leaf.hash, NUMBER.pack(at))
        for at, leaf in enumerate(batch.leaves, start=batch.old_size) if leaf.name is not None
    ]  # fmt: skip
    return [*rows, (LOG_ROOT, root), (LOG_SIZE, NUMBER.pack(batch.new_size))]


def number_of(value: bytes | None) -> int | None:
    """A row's number, if there is the row."""
    return None if value is None else int(NUMBER.unpack(value)[0])


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
        return blake2b(text, digest_size=PLACE_BYTES).digest()

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
    #: first_ts of its header, ms, 0 where it is none: what a customer's messages are ordered by.
    time: int
    leaf: bytes
    tags: bytes = NO_TAGS  # digest of the subject object that its tag rows were read from

    @classmethod
    def of(cls, place: bytes, found: Found, tags: Tags | None) -> Self:
        """The row of a segment that was found in its chain."""
        header = found.segment.header
        time = max(0, header.first_ts or 0)  # a producer may have written -1
        return cls(place=place, base=header.base, next=header.next, attempt=found.name.attempt,
                   count=header.count, time=time, leaf=found.segment.leaf,
                   tags=NO_TAGS if tags is None else tags.digest)  # fmt: skip

    @property
    def key(self) -> bytes:
        """Of the row."""
        return segment_key(self.place, self.base)

    @property
    def groups_key(self) -> bytes:
        """Of the row that holds its `Groups`."""
        return GROUPS + self.place + NUMBER.pack(self.base)

    def encode(self) -> bytes:
        """The row's value."""
        return _SEGMENT.pack(
            self.next, self.attempt, self.count, self.time, self.leaf, self.tags
        )  # fmt: skip

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> Self:
        """The row of a key and value."""
        following, attempt, count, time, leaf, tags = _SEGMENT.unpack(value)
        place, base = key[1 : 1 + PLACE_BYTES], NUMBER.unpack_from(key, 1 + PLACE_BYTES)[0]
        return cls(place=place, base=base, next=following, attempt=attempt, count=count, time=time,
                   leaf=leaf, tags=tags)  # fmt: skip


def segment_key(place: bytes, base: int) -> bytes:
    """Key of a segment's row."""
    return SEGMENT + place + NUMBER.pack(base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a record of a message lies."""

    place: bytes
    offset: int
    base: int
    index: int  # of the record line in its segment
    revision: int
    group: bytes  # that its message was counted in with this record, as `counts` names it

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> Self:
        """The position a message row tells."""
        base, index, revision, group = POSITION.unpack(value)
        return cls(place=key[-16:-8], offset=NUMBER.unpack(key[-8:])[0], base=base, index=index,
                   revision=revision, group=group)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Tagged:
    """A tag row: a record of a person, in the order a customer's records come in."""

    time: int
    place: bytes
    base: int
    index: int

    def encode(self) -> bytes:
        """The key behind its tag."""
        return TAGGED.pack(self.time, self.place, self.base, self.index)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The inverse of `encode`."""
        time, place, base, index = TAGGED.unpack(data)
        return cls(time=time, place=place, base=base, index=index)


def tag_of(key: bytes) -> bytes:
    """The tag in a tag row's key."""
    return key[len(TAG) : len(TAG) + TAG_BYTES]

"""A segment's bytes: one gzip member of header line, signature line, record lines (section 3).

`decode` judges form only (gzip framing, canonical header, types); signatures, chain and records
are `verify`'s. Hashes are over the uncompressed bytes, so any conforming deflate will do.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from struct import Struct
from typing import Any, Final

from isal import isal_zlib

from audit_stream.errors import FormatError
from audit_stream.evidence import ledger as ledger_code
from audit_stream.evidence.canonical import MAX_INTEGER, canonical, parse_line
from audit_stream.evidence.encoding import hex_decode
from audit_stream.evidence.formats import FIRST, format_of
from audit_stream.evidence.signing import TrustedKeys, parse_signature_line
from audit_stream.evidence.tree import leaf_hash

ASSURANCES = ("mutable", "worm_unlocked", "worm_locked")  # the lowest first
GZIP_HEADER = bytes.fromhex("1f8b08000000000000ff")
#: Refuse to inflate beyond this: a segment is about 8 MiB, a hostile object may claim anything.
MAX_SEGMENT_BYTES: Final = 1 << 30
_TRAILER = Struct("<II")
_RAW_DEFLATE = -15


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Line 1 of a segment; fields as formats.md section 3 names them."""

    archive: str
    assurance: str
    base: int
    body: str
    count: int
    first_ts: int | None
    generation: int
    key_epoch: int
    kid: str
    last_ts: int | None
    ledger: str
    next: int
    partition: int
    prev: str | None
    raw: str
    root: str
    sealed_at: str
    seq: int
    status_map: str
    stream: str
    topic: str
    void: Sequence[dict[str, str]]
    writer: str
    record: str = FIRST.record
    v: str = FIRST.segment

    def line(self) -> bytes:
        """The canonical line, without its newline."""
        return canonical(asdict(self))


_INTEGERS = ("base", "count", "generation", "key_epoch", "next", "partition", "seq")
_TEXTS = ("archive", "sealed_at", "topic", "writer")
_HASHES = ("body", "raw", "root", "status_map")
_MEMBERS = frozenset(Header.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Segment:
    """A decoded segment: nothing in it is trusted yet."""

    header: Header
    header_line: bytes
    signature: bytes
    body: bytes  # the record lines with their newlines

    @property
    def leaf(self) -> bytes:
        """Leaf hash of the header: what `prev` of the next one and the archive log hold."""
        return leaf_hash(self.header_line)

    def is_signed(self, keys: TrustedKeys) -> bool:
        """Whether the trusted key that the header names signed it."""
        return keys.verifies(self.header.kid, self.header_line, self.signature)

    def record_lines(self) -> list[bytes]:
        """The record lines without newlines."""
        return self.body.split(b"\n")[:-1]


def encode(header_line: bytes, signature_line: bytes, body: bytes) -> bytes:
    """The stored bytes. isal's level 1 costs a tenth of zlib's level 6 for a tenth more bytes."""
    plain = b"".join((header_line, b"\n", signature_line, b"\n", body))
    deflate = isal_zlib.compressobj(1, isal_zlib.DEFLATED, _RAW_DEFLATE)
    trailer = _TRAILER.pack(isal_zlib.crc32(plain), len(plain) & 0xFFFFFFFF)
    return b"".join((GZIP_HEADER, deflate.compress(plain), deflate.flush(), trailer))


def inflate(data: bytes, what: str) -> bytes:
    """The uncompressed bytes of exactly one gzip member with exactly our header."""
    if not data.startswith(GZIP_HEADER):
        raise FormatError(f"{what} does not start with the gzip header of a segment")
    inflater = zlib.decompressobj(_RAW_DEFLATE)
    try:
        plain = inflater.decompress(data[len(GZIP_HEADER) :], MAX_SEGMENT_BYTES)
    except zlib.error as error:
        raise FormatError(f"{what} cannot be inflated: {error}") from error
    if not inflater.eof or len(inflater.unused_data) != _TRAILER.size:
        raise FormatError(f"{what} is cut short, too large or followed by other bytes")
    crc, size = _TRAILER.unpack(inflater.unused_data)
    if crc != isal_zlib.crc32(plain) or size != len(plain) & 0xFFFFFFFF:
        raise FormatError(f"{what} fails the gzip checksum")
    return plain


def inflate_start(data: bytes, size: int) -> bytes:
    """The first `size` uncompressed bytes, or all there are, of bytes that `inflate` took before.

    ISA-L is four times as fast as zlib and takes some streams that are none; so it never judges.
    """
    return isal_zlib.decompressobj(_RAW_DEFLATE).decompress(data[len(GZIP_HEADER) :], size)


def decode(data: bytes, what: str) -> Segment:
    """A segment from its stored bytes; `what` is its name, for errors."""
    return decode_plain(inflate(data, what), what)


def decode_plain(plain: bytes, what: str) -> Segment:
    """A segment from its uncompressed bytes."""
    first = plain.find(b"\n")
    second = plain.find(b"\n", first + 1)
    if first < 0 or second < 0:
        raise FormatError(f"{what} lacks its header or signature line")
    if not plain.endswith(b"\n"):
        raise FormatError(f"{what} does not end with a newline")
    header_line = plain[:first]
    header = parse_header(header_line, f"{what} line 1")
    signature = parse_signature_line(plain[first + 1 : second], f"{what} line 2")
    return Segment(header, header_line, signature, plain[second + 1 :])  # copied once: it is large


def header_time(timestamp: int) -> int:
    """A Kafka timestamp (ms) as `first_ts` and `last_ts` have it: the nearest one that a canonical
    integer holds. A producer may have written any 64 bits."""
    return max(-MAX_INTEGER, min(timestamp, MAX_INTEGER))


def lowest_assurance(levels: Iterable[str]) -> str | None:
    """Of levels that headers name; None if there are none."""
    return min(levels, key=ASSURANCES.index, default=None)


def parse_header(line: bytes, what: str) -> Header:
    """Line 1 as a `Header`; `UnknownVersion` for a format not known, else `FormatError`."""
    value = parse_line(line, what)
    format_of(value, what)
    if set(value) != _MEMBERS:
        raise FormatError(f"{what} lacks or adds the members {sorted(set(value) ^ _MEMBERS)}")
    for name in _INTEGERS:
        if type(value[name]) is not int or value[name] < 0:
            raise FormatError(f"{what} {name} is not an offset, count or number")
    for name in _TEXTS:
        if type(value[name]) is not str or not value[name]:
            raise FormatError(f"{what} {name} is not a string")
    for name in _HASHES:
        hex_decode(value[name], f"{what} {name}")
    hex_decode(value["kid"], f"{what} kid", 8)
    hex_decode(value["stream"], f"{what} stream", 16)
    if value["prev"] is not None:
        hex_decode(value["prev"], f"{what} prev")
    _check_relations(value, what)
    return Header(**value)


def _check_relations(value: dict[str, Any], what: str) -> None:
    if value["assurance"] not in ASSURANCES:
        raise FormatError(f"{what} assurance is not one of {', '.join(ASSURANCES)}")
    if value["next"] <= value["base"]:
        raise FormatError(f"{what} next is not above base")
    if (value["prev"] is None) != (value["seq"] == 0):
        raise FormatError(f"{what} prev is null exactly when seq is 0")
    totals = ledger_code.totals(value["ledger"], value["next"] - value["base"])
    if totals[ledger_code.ARCHIVED] != value["count"]:
        raise FormatError(f"{what} count differs from the ledger's archived offsets")
    present = any(count for letter, count in totals.items()
                  if letter not in ledger_code.VOID_LETTERS)  # fmt: skip
    first, last = value["first_ts"], value["last_ts"]
    for stamp in (first, last):
        if present != (type(stamp) is int):
            raise FormatError(f"{what} first_ts and last_ts are times if a record is present")
    check_void(value["void"], what)


def check_void(void: Any, what: str) -> None:
    """The form of a `void` member."""
    if not isinstance(void, list):
        raise FormatError(f"{what} void is not a list")
    for item in void:
        if not isinstance(item, dict) or set(item) != {"name", "sha256"}:
            raise FormatError(f"{what} void holds something other than name and sha256")
        if type(item["name"]) is not str:
            raise FormatError(f"{what} void name is not a string")
        hex_decode(item["sha256"], f"{what} void sha256")

"""Verification of one segment, from its bytes.

V1  the object is one gzip member with exactly our header, and its checksum holds
V2  line 1 is a canonical `audit-segment/1` header, consistent in itself; line 2 a signature
V3  the name says what the header says: topic, generation, partition, base, junk passed over
V4  a trusted key signed line 1, and it is the key the header names
V5  archive, stream, topic and partition are the stream object's
V6  the body's hash is the header's
V7  there are as many record lines as the header counts
V8  each line is a canonical `audit-record/1` whose integrity hash fits
V9  each line's source is the ledger's next archived offset; its time lies in the segment's
V10 the root over the integrity hashes is the header's
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence import ledger
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.record import Record, parse_record
from audit_stream.evidence.segment import Segment, decode_plain, inflate
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.evidence.tree import root_hash


class Failed(Exception):
    """A step found something wrong."""

    def __init__(self, step: str, what: str, unknown: bool = False) -> None:
        super().__init__(step, what)
        self.step, self.what, self.unknown = step, what, unknown


def _step(step: str, fact: bool, what: str) -> None:
    if not fact:
        raise Failed(step, what)


def open_segment(name: SegmentName, data: bytes, keys: TrustedKeys) -> Segment:
    """Steps V1 to V4: bytes under a name -> a segment a trusted key signed."""
    try:
        plain = inflate(data, "object")
    except FormatError as error:
        raise Failed("V1", error.message) from error
    try:
        segment = decode_plain(plain, "")
    except UnknownVersion as error:
        raise Failed("V2", error.message.strip(), unknown=True) from error
    except FormatError as error:
        raise Failed("V2", error.message.strip()) from error
    header = segment.header
    said = SegmentName(
        header.topic, header.generation, header.partition, header.base, len(header.void)
    )
    _step("V3", said == name, f"line 1 says this is {said}")
    _step("V4", header.kid in keys, f"line 1 kid {header.kid} is not a trusted key")
    signed = keys.verifies(header.kid, segment.header_line, segment.signature)
    _step("V4", signed, "line 2 sig is not the signature of line 1")
    return segment


def verify_segment(segment: Segment, stream: StreamObject) -> list[Record]:
    """Steps V5 to V10: the records of a signed segment of this stream."""
    header = segment.header
    mine = (header.archive, header.stream, header.topic, header.generation)
    theirs = (stream.archive, stream.stream, stream.topic, stream.generation)
    _step("V5", mine == theirs, "line 1 does not belong to the stream object")
    _step("V5", header.partition < stream.partitions, "line 1 partition is not one of the stream's")
    _step("V6", sha256(segment.body).hexdigest() == header.body, "line 1 body is not the hash of "
          "the record lines")  # fmt: skip
    lines = segment.record_lines()
    _step("V7", len(lines) == header.count, f"{len(lines)} record lines, line 1 count says "
          f"{header.count}")  # fmt: skip
    records = list(_records(segment, lines))
    root = root_hash([sha256(b"\x00" + record.integrity_hash).digest() for record in records])
    _step("V10", root.hex() == header.root, "line 1 root is not the root of the records")
    return records


def _records(segment: Segment, lines: list[bytes]) -> Iterator[Record]:
    header = segment.header
    runs = ledger.decode(header.ledger, header.next - header.base)
    place = f"{header.topic}/{header.generation}/{header.partition}/"
    offsets = ledger.archived_offsets(runs, header.base)
    for number, (offset, line) in enumerate(zip(offsets, lines, strict=True), start=3):
        try:
            record = parse_record(line, f"line {number}")
        except UnknownVersion as error:
            raise Failed("V8", error.message, unknown=True) from error
        except FormatError as error:
            raise Failed("V8", error.message) from error
        if record.pub["source"] != f"{place}{offset}":
            raise Failed("V9", f"line {number} source is not {place}{offset}")
        yield record

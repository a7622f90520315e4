"""Verification of one segment, from its bytes. V1 to V5 hold for the end of a generation, too.

V1  the object is one gzip member with exactly our header, and its checksum holds
V2  line 1 is a canonical `audit-segment/1` header, or `audit-end/1`, consistent in itself; line 2 a
    signature
V3  the name says what the header says: topic, generation, partition, base, junk passed over
V4  a trusted key signed line 1, and it is the key a header names
V5  archive, stream, topic and partition are the stream object's
V6  the body's hash is the header's
V7  there are as many record lines as the header counts
V8  each line is a canonical `audit-record/1` whose integrity hash fits
V9  each line's source is the ledger's next archived offset and its time a time; the first present
    record, if archived, is of first_ts, the last of last_ts. Between them times may step back:
    brokers' clocks differ, and a rekeyed topic keeps the original times
V10 the root over the integrity hashes is the header's
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence import ledger
from audit_stream.evidence.ending import End, Ending, decode_link_plain
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.segment import Header, Segment, inflate
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.evidence.tree import record_root
from audit_stream.verify.record import Facts, read_lines, read_slowly
from audit_stream.verify.report import Failed, step

_FIRST_RECORD_LINE = 3
_SECOND = len("2026-11-25T00:00:00")


def open_link(name: SegmentName, data: bytes, keys: TrustedKeys) -> Segment | End:
    """Steps V1 to V4: bytes under a name -> what a trusted key signed: a segment, or the end."""
    try:
        plain = inflate(data, "object")
    except FormatError as error:
        raise Failed("V1", error.message) from error
    try:
        found = decode_link_plain(plain, "")
    except UnknownVersion as error:
        raise Failed("V2", error.message.strip(), unknown=True) from error
    except FormatError as error:
        raise Failed("V2", error.message.strip()) from error
    line = found.ending if isinstance(found, End) else found.header
    signed = found.is_signed(keys)
    said = SegmentName(line.topic, line.generation, line.partition, line.base, len(line.void))
    if said != name:
        raise Failed("V3", f"line 1 says this is {said}", signed=signed)
    if isinstance(line, Header):
        step("V4", line.kid in keys, f"line 1 kid {line.kid} is not a trusted key")
    step("V4", signed, "line 2 sig is not the signature of line 1")
    return found


def check_stream(line: Header | Ending, stream: StreamObject) -> None:
    """Step V5."""
    for field in ("archive", "stream", "topic", "generation"):
        same = getattr(line, field) == getattr(stream, field)
        step("V5", same, f"line 1 {field} is not the stream object's")
    step("V5", line.partition < stream.partitions, "line 1 partition is not one of the stream's")


def verify_segment(segment: Segment, stream: StreamObject) -> list[Facts]:
    """Steps V5 to V10: the records of a signed segment of this stream."""
    header = segment.header
    check_stream(header, stream)
    if sha256(segment.body).hexdigest() != header.body:
        raise Failed("V6", "line 1 body is not the hash of the record lines")
    read = read_lines(segment.body)
    if len(read) != header.count:
        raise Failed("V7", f"{len(read)} record lines, line 1 count says {header.count}")
    runs = ledger.decode(header.ledger, header.next - header.base)
    records = list(_records(header, runs, read))
    _check_ends(header, runs, records)
    root = record_root([record.integrity_hash for record in records])
    step("V10", root.hex() == header.root, "line 1 root is not the root of the records")
    return records


def _records(
    header: Header, runs: list[tuple[int, str]], read: list[Facts | bytes]
) -> Iterator[Facts]:  # fmt: skip
    source = f"{header.topic}/{header.generation}/{header.partition}/%d".encode()
    offsets = ledger.archived_offsets(runs, header.base)
    second = b""
    for number, (offset, record) in enumerate(zip(offsets, read, strict=True), _FIRST_RECORD_LINE):
        if isinstance(record, bytes):
            record = _judged(record, number)  # noqa: PLW2901 - the same, read the slow way
        if record.source != source % offset:
            raise Failed("V9", f"line {number} source is not {(source % offset).decode()}")
        if record.ingested[:_SECOND] != second:  # a segment spans few seconds
            second = record.ingested[:_SECOND]
            step("V9", _is_second(second), f"line {number} ingestion_timestamp is no time")
        yield record


def _judged(line: bytes, number: int) -> Facts:
    try:
        return read_slowly(line, f"line {number}")
    except FormatError as error:
        raise Failed("V8", error.message, unknown=isinstance(error, UnknownVersion)) from error


def _is_second(text: bytes) -> bool:
    """Whether a text of the form of a second is one of the calendar, in ASCII."""
    try:
        datetime.fromisoformat(text.decode("ascii"))
    except ValueError:
        return False
    return True


def _check_ends(header: Header, runs: list[tuple[int, str]], records: list[Facts]) -> None:
    present = [letter for _, letter in runs if letter not in ledger.VOID_LETTERS]
    ends = (("first_ts", 0), ("last_ts", -1))
    for field, end in ends:
        if not present or present[end] != ledger.ARCHIVED:
            continue
        if _milliseconds(records[end].ingested) != getattr(header, field):
            number = _FIRST_RECORD_LINE + (end % len(records))
            raise Failed("V9", f"line {number} ingestion_timestamp is not the {field} of line 1")


def _milliseconds(ingested: bytes) -> int:
    """Unix ms of a checked `ingestion_timestamp`."""
    second = datetime.fromisoformat(f"{ingested[:_SECOND].decode()}+00:00")
    return int(second.timestamp()) * 1000 + int(ingested[_SECOND + 1 : -1])

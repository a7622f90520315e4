"""One stored segment against the same offsets derived again from the raw log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256

from audit_stream.archive.chain import Found
from audit_stream.errors import FormatError
from audit_stream.evidence import ledger
from audit_stream.evidence.difference import (
    FieldDifference,
    first_other,
    is_erased,
    line_difference,
)
from audit_stream.evidence.formats import number_of
from audit_stream.evidence.record import parse_record
from audit_stream.evidence.segment import Header
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.evidence.tree import record_root
from audit_stream.seal.builder import Link, Origin, SegmentBuilder

_NUMBERS = (int, type(None))
_HASHES = frozenset(("body", "raw", "root"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first thing in which the archive is not what the raw log gives."""

    topic: str
    generation: int
    partition: int
    offset: int
    segment: str  # object name
    field: str  # a field of the record, `disposition`, or a member of the segment's header
    archive: str
    derived: str

    def __str__(self) -> str:
        place = f"{self.topic}/{self.generation}/{self.partition}/{self.offset}"
        return f"{place}: {self.field}: archive {self.archive}, derived {self.derived}"


@dataclass(frozen=True, slots=True)
class Compared:
    """How a segment's comparison ended."""

    difference: Difference | None
    records: int  # archived records compared
    erased: int = 0  # records compared without their sealed fields
    only_archived_erased: int = 0  # of them: erased in the archive, and not by this keyring


def compare_segment(
    found: Found, derived: SegmentBuilder, stream: StreamObject, raw_key: bytes
) -> Compared:
    """Compare from the offset on at which `derived` begins.

    The whole segment is compared byte for byte, but for what is the sealing process's own: time,
    writer, store level and key id, whose signature the chain's reader has checked. Of a part, whose
    beginning the raw log has lost, dispositions and record lines are compared.
    """
    segment = found.segment
    header = None
    if derived.base == segment.header.base:
        header = _header(segment.header, derived, stream, raw_key)
        if header.line() == segment.header_line and derived.body == segment.body:
            return Compared(None, records=derived.count)
    return _Explained(found, derived, header).result()


def _header(
    stored: Header, derived: SegmentBuilder, stream: StreamObject, raw_key: bytes
) -> Header:
    origin = Origin(
        archive=stream.archive, assurance=stored.assurance, writer=stored.writer,
        status_map=stored.status_map, key_epoch=stored.key_epoch, raw_key=raw_key,
        format=number_of(stored.v),
    )  # fmt: skip
    link = Link(next=stored.base, seq=stored.seq, leaf=stored.prev)
    return derived.header(
        link, stream, stored.partition, origin, stored.kid, stored.sealed_at, stored.void
    )


class _Explained:
    """Finds what is different in a segment that is not the same bytes."""

    def __init__(self, found: Found, derived: SegmentBuilder, header: Header | None) -> None:
        self._name, self._segment = str(found.name), found.segment
        self._derived, self._derived_header = derived, header
        self._erased = self._only_archived = 0

    def result(self) -> Compared:
        """The first difference by offset, if there is one; of the header's members last."""
        stored = self._segment.header
        start = self._derived.base
        runs = ledger.decode(stored.ledger, stored.next - stored.base)
        before = ledger.part(runs, 0, start - stored.base)
        theirs = ledger.part(runs, start - stored.base, stored.next - stored.base)
        mine = ledger.decode(self._derived.ledger, self._derived.next - start)
        other = first_other(theirs, mine)
        same = theirs if other is None else ledger.part(theirs, 0, other[0])
        difference = self._in_lines(same, ledger.letter_counts(before)[ledger.ARCHIVED])
        if difference is None and other is not None:
            at, one, two = other
            told = FieldDifference("disposition", ledger.MEANING[one], ledger.MEANING[two])
            difference = self._at(start + at, told)
        if difference is None:
            difference = self._in_header(self._derived_header)
        archived = ledger.letter_counts(theirs)[ledger.ARCHIVED]
        return Compared(difference, archived, self._erased, self._only_archived)

    def _in_lines(self, runs: list[ledger.Run], skipped: int) -> Difference | None:
        """The first different record line of the offsets that have these letters on both sides."""
        stored = self._segment.record_lines()[skipped:]
        offsets = ledger.archived_offsets(runs, self._derived.base)
        for offset, line, derived in zip(offsets, stored, self._derived.lines, strict=False):
            again = derived[:-1]
            if line == again:
                continue
            told = line_difference(line, again)
            if told is not None:
                return self._at(offset, told)
            self._erased += 1
            self._only_archived += not is_erased(again)
        return None

    def _in_header(self, derived: Header | None) -> Difference | None:
        """The first different member; body and root are those of the lines that are there."""
        stored = self._segment.header
        if self._hash_of_body() != stored.body:
            told = FieldDifference("body", stored.body, self._hash_of_body())
            return self._at(stored.base, told)
        if derived is None:
            return None
        if self._erased:
            try:
                root = _root_of(self._segment.record_lines())
            except FormatError:
                told = FieldDifference("integrity_hash", "one that does not fit", "one that fits")
                return self._at(stored.base, told)
            derived = replace(derived, body=stored.body, root=root)
        for name in (field.name for field in fields(Header)):
            one, other = getattr(stored, name), getattr(derived, name)
            if one != other:
                told = FieldDifference(name, _tell(name, one), _tell(name, other))
                return self._at(stored.base, told)
        return None

    def _hash_of_body(self) -> str:
        return sha256(self._segment.body).hexdigest()

    def _at(self, offset: int, told: FieldDifference) -> Difference:
        header = self._segment.header
        return Difference(
            topic=header.topic, generation=header.generation, partition=header.partition,
            offset=offset, segment=self._name, field=told.field, archive=told.one,
            derived=told.other,
        )  # fmt: skip


def _root_of(lines: Sequence[bytes]) -> str:
    """The root over stored record lines, whose integrity hashes must fit."""
    hashes = [parse_record(line, "a record").integrity_hash for line in lines]
    return record_root(hashes).hex()


def _tell(name: str, value: object) -> str:
    if name in _HASHES or isinstance(value, _NUMBERS):
        return "null" if value is None else str(value)
    return "another value"

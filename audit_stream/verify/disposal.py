"""Verification of what was disposed of: certificates, and the headers that are kept.

V26 each header that is kept and has no segment any more is covered by a disposal certificate, is
    signed by a trusted key (V2 to V4), and links its chain (V5, V11, V12); the headers kept of a
    certificate's stretch tile it, have its digest, and had expired by its own words; where a
    segment is still there, its header is the one that is kept

Its records cannot be looked at. That its leaf is in the log, V17 and V18 show; that the register of
disposals is whole, the register's own step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence import layout
from audit_stream.evidence.disposal import (
    Disposal,
    Stretch,
    decode_kept,
    disposal_of,
    kept_until_ms,
    leaves_digest,
)
from audit_stream.evidence.encoding import milliseconds
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.register import decode_entry
from audit_stream.evidence.segment import Segment
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.verify.report import Failed, Problem, step

Read = Callable[[str], bytes | None]
_STEP = "V26"


class DisposedVerifier:
    """The headers and certificates among an archive's names; `wanted` tells which segments are in
    the part that is judged."""

    def __init__(self, read: Read, keys: TrustedKeys, wanted: Callable[[str], bool]) -> None:
        self._read, self._keys, self._wanted = read, keys, wanted
        self._kept: dict[SegmentName, Segment | Failed] = {}
        self._stretches: list[tuple[str, Disposal, Stretch]] = []  # name of the entry first
        self._there: set[SegmentName] = set()
        self.problems: list[Problem] = []
        self.unknown: list[Problem] = []

    def take_certificate(self, name: str) -> None:
        """An object under the name of an entry; what no trusted key signed is junk."""
        try:
            entry = decode_entry(self._read(name) or b"", name)
            if entry.is_signed(self._keys):
                self._take(name, disposal_of(entry))
        except UnknownVersion as error:
            self.unknown.append(Problem(_STEP, name, error.message))
        except FormatError:
            return  # junk, or the register's own step says so

    def _take(self, name: str, disposal: Disposal) -> None:
        self._stretches += ((name, disposal, each) for each in disposal.stretches)

    def take_kept(self, name: str, place: SegmentName) -> None:
        """An object under the name of a kept header."""
        try:
            segment = decode_kept(self._read(name) or b"", place)
            step("V4", segment.is_signed(self._keys), "line 2 is not a trusted key's signature")
            self._kept[place] = segment
        except UnknownVersion as error:
            self._kept[place] = Failed("V2", error.message, unknown=True)
        except FormatError as error:
            self._kept[place] = Failed("V2", error.message)
        except Failed as failed:
            self._kept[place] = failed

    def gone(self, there: Iterable[SegmentName]) -> list[SegmentName]:
        """Of the headers kept, those whose segment is not there."""
        self._there = set(there)
        return sorted(self._kept.keys() - self._there)

    def open(self, name: SegmentName) -> Segment | None:
        """The header of a segment that is not there; None when nothing is kept of it. `Failed`
        when it is no header, or no certificate covers it."""
        kept = self._kept.get(name)
        if kept is None:
            return None
        covered = any(stretch.covers(name) for _, _, stretch in self._stretches)
        step(_STEP, covered, "is gone, and no disposal certificate covers it")
        if isinstance(kept, Failed):
            raise kept
        return kept

    def judge(self, leaves: Mapping[str, bytes]) -> int:
        """At the end, with the leaf hash of each object found good: the stretches, and the headers
        of segments that are still there; how many of these a certificate covers."""
        for name, disposal, stretch in self._stretches:
            if self._wanted(str(SegmentName(*stretch.place, stretch.base))):
                self._check_stretch(name, disposal, stretch)
        owed = 0
        for place, kept in self._kept.items():
            leaf = leaves.get(str(place))
            if leaf is not None and isinstance(kept, Segment) and kept.leaf != leaf:
                self._wrong(layout.disposed_name(place), "is not the header of the segment there")
            if place in self._there:
                owed += any(stretch.covers(place) for _, _, stretch in self._stretches)
        return owed

    def _check_stretch(self, name: str, disposal: Disposal, stretch: Stretch) -> None:
        found = sorted(
            (place, kept) for place, kept in self._kept.items()
            if isinstance(kept, Segment) and stretch.covers(place)
        )  # fmt: skip
        what = f"{stretch.topic}/{stretch.generation}/{stretch.partition} from {stretch.base}"
        if not _tiles(stretch, (kept for _, kept in found)):
            self._wrong(name, f"{what}: the headers kept do not cover what was disposed of")
        elif leaves_digest((place, kept.leaf) for place, kept in found) != stretch.leaves:
            self._wrong(name, f"{what}: the headers kept are not those it was made for")
        if not _had_expired(disposal, (kept for _, kept in found)):
            self._wrong(name, f"{what}: certified before it had expired")

    def _wrong(self, name: str, what: str) -> None:
        self.problems.append(Problem(_STEP, name, what))


def _had_expired(disposal: Disposal, segments: Iterator[Segment]) -> bool:
    days = disposal.retention_days
    try:
        certified_ms = milliseconds(disposal.executed_at)
        return all(kept_until_ms(each.header, days) <= certified_ms for each in segments)
    except FormatError:  # a header's time is none
        return False


def _tiles(stretch: Stretch, segments: Iterator[Segment]) -> bool:
    at, count, records = stretch.base, 0, 0
    for segment in segments:
        header = segment.header
        if header.base != at:
            return False
        at, count, records = header.next, count + 1, records + header.count
    return (at, count, records) == (stretch.next, stretch.segments, stretch.records)

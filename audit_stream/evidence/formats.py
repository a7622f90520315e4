"""The formats of segments this release reads, and which of them is written (ADR 0026).

One number stands for the versions of a segment and of its records, so that no writer mixes them.
A release reads every format in `FORMATS`. It writes the one it is told to, and in a chain never a
lower one than the chain's last segment has: readers are upgraded first, writing follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit_stream.evidence.canonical import check_version


@dataclass(frozen=True, slots=True)
class Format:
    """A segment's `v`, and the `v` of the record lines it holds."""

    number: int
    segment: str
    record: str


FIRST = Format(1, "audit-segment/1", "audit-record/1")
#: By number. A release that knows another one adds it here, with what reads and writes it.
FORMATS: dict[int, Format] = {FIRST.number: FIRST}


def format_of(header: Mapping[str, Any], what: str) -> Format:
    """The format that a header says it has. `UnknownVersion` of one that is not known here,
    `FormatError` of what is no segment's."""
    by_segment = {each.segment: each for each in FORMATS.values()}
    found = by_segment.get(str(header.get("v")), FIRST)
    check_version(header, found.segment, what)
    check_version(header, found.record, what, "record")
    return found


def number_of(segment: str) -> int:
    """The number of a known segment's format, by its `v`."""
    return next(each.number for each in FORMATS.values() if each.segment == segment)

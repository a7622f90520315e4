"""The disposal certificate, `audit-disposal/1`: segments were removed after their retention.

An entry of the register of disposals (formats.md section 3). It names each stretch of offsets and
commits to the headers of its segments, which are kept: they go on linking the chain.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any

from audit_stream.errors import FormatError
from audit_stream.evidence.encoding import hex_decode, is_time, milliseconds
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.persons import is_one_person
from audit_stream.evidence.redaction import check_actor
from audit_stream.evidence.register import Entry, Register
from audit_stream.evidence.segment import Header, Segment, decode_plain

_TEXTS = ("basis", "disposal_id", "executed_at", "regulatory_tag", "requested_at")
_COUNTS = ("records", "retention_days", "segments")
_LONGEST_BASIS = 200
_ID = re.compile(r"dc-[0-9a-f]{16}").fullmatch
DAY_MS = 86_400_000
Place = tuple[str, int, int]  # topic, generation, partition


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Segments of one stream and partition behind one another, without a gap."""

    topic: str
    generation: int
    partition: int
    base: int
    next: int  # the first offset behind it
    segments: int
    records: int
    leaves: str = ""  # `leaves_digest` of them

    @property
    def place(self) -> Place:
        """Whose offsets they are."""
        return self.topic, self.generation, self.partition

    def covers(self, name: SegmentName) -> bool:
        """Whether a segment of this name lies in it."""
        place = (name.topic, name.generation, name.partition)
        return place == self.place and self.base <= name.base < self.next


_STRETCH = frozenset(Stretch.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposal:
    """The members of a certificate that are its own, as formats.md has them."""

    approved_by: str
    basis: str
    disposal_id: str
    executed_at: str
    first: str | None  # time of the first record, None where there was none
    last: str | None
    records: int
    regulatory_tag: str
    requested_at: str
    requested_by: str
    retention_days: int
    segments: int
    stretches: Sequence[Stretch]
    years: Sequence[int]  # whose keys are destroyed with it

    def said(self) -> dict[str, Any]:
        """As the entry's members."""
        return asdict(self)

    def covers(self, name: SegmentName) -> bool:
        """Whether a segment of this name was disposed of."""
        return any(stretch.covers(name) for stretch in self.stretches)


_MEMBERS = frozenset(Disposal.__dataclass_fields__)


def disposal_of(entry: Entry) -> Disposal:
    """What an entry certifies; `FormatError` when it is none of this kind."""
    said, what = entry.said, entry.name
    if entry.register is not Register.DISPOSALS or said.keys() != _MEMBERS:
        raise FormatError(f"{what} does not have the members of {Register.DISPOSALS.value}")
    for name in _TEXTS:
        if type(said[name]) is not str or not said[name]:
            raise FormatError(f"{what} {name} is not a text")
    for name in ("first", "last", "executed_at", "requested_at"):
        if not is_time(said[name]) and (said[name] is not None or name not in ("first", "last")):
            raise FormatError(f"{what} {name} is no time")
    if not _ID(said["disposal_id"]):
        raise FormatError(f"{what} disposal_id is not dc- and 16 hexadecimal digits")
    check_basis(said["basis"], f"{what} basis")
    for name in _COUNTS:
        if not _is_count(said[name]):
            raise FormatError(f"{what} {name} is not a number")
    if not isinstance(said["years"], list) or not all(map(_is_count, said["years"])):
        raise FormatError(f"{what} years are not years")
    if not all(type(said[each]) is str for each in ("approved_by", "requested_by")):
        raise FormatError(f"{what} does not say who")
    if is_one_person(check_actor(said["approved_by"]), check_actor(said["requested_by"])):
        raise FormatError(f"{what} was approved by who requested it")
    if not isinstance(said["stretches"], list) or not said["stretches"]:
        raise FormatError(f"{what} names no stretch of offsets")
    stretches = tuple(_stretch(each, what) for each in said["stretches"])
    _check_apart(stretches, what)
    for name in ("segments", "records"):
        if sum(getattr(each, name) for each in stretches) != said[name]:
            raise FormatError(f"{what} {name} is not the sum of its stretches")
    return Disposal(**{**said, "stretches": stretches})


def _check_apart(stretches: Iterable[Stretch], what: str) -> None:
    places = sorted((e.topic, e.generation, e.partition, e.base, e.next) for e in stretches)
    for before, after in pairwise(places):
        if before[:3] == after[:3] and after[3] < before[4]:
            raise FormatError(f"{what} has stretches that overlap")


def _stretch(value: Any, what: str) -> Stretch:
    if not isinstance(value, dict) or value.keys() != _STRETCH or type(value["topic"]) is not str:
        raise FormatError(f"{what} holds something other than stretches")
    if not all(_is_count(value[name]) for name in _STRETCH - {"leaves", "topic"}):
        raise FormatError(f"{what} has a stretch of no numbers")
    hex_decode(value["leaves"], f"{what} leaves")
    if value["base"] >= value["next"] or not value["segments"]:
        raise FormatError(f"{what} has an empty stretch")
    return Stretch(**value)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def leaves_digest(segments: Iterable[tuple[SegmentName, bytes]]) -> str:
    """SHA-256, in hex, over a line ``<object name> <leaf hash in hex>`` for each segment, in the
    order of their bases."""
    digest = sha256()
    for name, leaf in segments:
        digest.update(leaf_line(name, leaf))
    return digest.hexdigest()


def leaf_line(name: SegmentName, leaf: bytes) -> bytes:
    """What `leaves_digest` is over, of one segment."""
    return f"{name} {leaf.hex()}\n".encode()


def newest_ms(header: Header) -> int | None:
    """Unix ms of a segment's newest record by its header; None when no record was there."""
    times = [each for each in (header.first_ts, header.last_ts) if each is not None]
    return max(times, default=None)


def kept_until_ms(header: Header, days: int) -> int:
    """When the retention of its class is over; of one without any record it counts from its
    sealing."""
    newest = newest_ms(header)
    return (milliseconds(header.sealed_at) if newest is None else newest) + days * DAY_MS


def kept_header(plain: bytes) -> bytes:
    """What is kept of a segment's uncompressed bytes: lines 1 and 2, with their newlines."""
    return b"".join(line + b"\n" for line in plain.split(b"\n", 2)[:2])


def decode_kept(data: bytes, name: SegmentName) -> Segment:
    """A segment without its records, from what is kept of it; `FormatError` when that is not its
    two lines, or of another segment."""
    what = f"what is kept of {name}"
    segment = decode_plain(data, what)
    header = segment.header
    said = SegmentName(
        header.topic, header.generation, header.partition, header.base, len(header.void)
    )
    if segment.body or said != name:
        raise FormatError(f"{what} is not its header and signature")
    return segment


class Stretches:
    """Stretches of offsets, of many certificates perhaps, made to be asked often."""

    def __init__(self, stretches: Iterable[Stretch]) -> None:
        self._ends: dict[Place, list[tuple[int, int]]] = {}  # bases and what is next, ascending
        for each in sorted(stretches, key=lambda each: each.base):
            ends = self._ends.setdefault(each.place, [])
            if ends and each.base <= ends[-1][1]:
                ends[-1] = (ends[-1][0], max(ends[-1][1], each.next))
            else:
                ends.append((each.base, each.next))

    def __contains__(self, name: SegmentName) -> bool:
        """Whether a segment of this name lies in one of them."""
        ends = self._ends.get((name.topic, name.generation, name.partition), ())
        at = bisect_right(ends, name.base, key=lambda each: each[0])
        return at > 0 and name.base < ends[at - 1][1]


def covered_by(certificates: Iterable[Disposal], name: SegmentName) -> bool:
    """Whether one of them covers the segment."""
    return any(each.covers(name) for each in certificates)


def check_basis(text: str, what: str = "a basis") -> str:
    """Why, which stands in WORM and names no person, e.g. ``retention of 7 years is over``."""
    if not text.strip() or len(text) > _LONGEST_BASIS or not text.isprintable():
        raise FormatError(f"{what} has 1 to {_LONGEST_BASIS} printable characters")
    return text

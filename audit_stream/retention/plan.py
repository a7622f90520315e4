"""What has expired, and what keeps it nevertheless. Pure: the clock's word is an argument.

A segment has expired when its newest record is older than its class's retention. A year's key may
go when no record is left that could need it: nothing remains whose first or last record is of a
time before the year's end and `MARGIN_MS` more, for within a segment times may step back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from audit_stream.errors import FormatError
from audit_stream.evidence.disposal import (
    DAY_MS,
    Place,
    Stretch,
    kept_until_ms,
    leaf_line,
    newest_ms,
)
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.segment import Header

#: A rekeyed topic keeps the original times: they step back by its raw topic's retention at most.
MARGIN_MS = 40 * DAY_MS

# Why a segment stays although its time is over.
HELD = "held"
KEPT_BY_STORE = "the store keeps it still"
MISSING = "not in the store"
NEWER_RECORD = "a record in it is newer than its header says"
OTHER_CLASS = "a record in it is of another class"

#: Ids of the holds that touch a segment with the offsets up to, not including, the second.
HeldBy = Callable[[SegmentName, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """The holds as they were when they were read."""

    held: HeldBy
    known: frozenset[object]  # what each of them holds: one that is new, or holds more, is another

    def has_all_of(self, later: Holding) -> bool:
        """Whether nothing is held by the later ones that is not by these."""
        return later.known <= self.known


#: The holds as they are when it is called.
ReadHolds = Callable[[], Awaitable[Holding]]


async def nobody_holds() -> Holding:
    """Of an archive without holds of its own: the store's are asked for besides."""

    async def nobody(_name: SegmentName, _stop: int) -> Sequence[str]:
        return ()

    return Holding(held=nobody, known=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A segment as the archive log has it."""

    name: SegmentName
    leaf: bytes
    header: Header
    batch: tuple[int, int] = (0, 0)  # where the log's batch that has it begins and ends

    @property
    def newest_ms(self) -> int | None:
        """Time of its newest record by its header; None when no record was there."""
        return newest_ms(self.header)

    @property
    def oldest_ms(self) -> int | None:
        """Time of its oldest record by its header; None when it holds none."""
        times = [each for each in (self.header.first_ts, self.header.last_ts) if each is not None]
        return min(times, default=None) if self.header.count else None


def expires_ms(logged: Logged, days: int) -> int:
    """When its retention is over."""
    return kept_until_ms(logged.header, days)


@dataclass(slots=True)
class _Run:
    """Segments behind one another, as they are added."""

    name: SegmentName  # of the first
    next: int
    segments: int = 0
    records: int = 0
    digest: Any = field(default_factory=sha256)  # as `leaves_digest`

    def add(self, logged: Logged) -> None:
        self.next = logged.header.next
        self.segments += 1
        self.records += logged.header.count
        self.digest.update(leaf_line(logged.name, logged.leaf))

    def stretch(self) -> Stretch:
        name = self.name
        return Stretch(
            topic=name.topic, generation=name.generation, partition=name.partition, base=name.base,
            next=self.next, segments=self.segments, records=self.records,
            leaves=self.digest.hexdigest(),
        )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Plan:
    """What a purge would remove, as stretches, for there may be millions of segments; and what
    stays although its time is over."""

    segments: int = 0  # that would go
    records: int = 0
    bytes: int = 0
    first_ms: int | None = None  # time of the oldest record
    last_ms: int | None = None  # and of the newest
    blocked: Counter[str] = field(default_factory=Counter)  # segments by why they stay
    holds: set[str] = field(default_factory=set)  # ids of those that block
    years: tuple[int, ...] = ()  # whose keys go with it
    uncertified: int = 0  # segments looked at that no certificate covers, to go or to stay
    logged: tuple[int, int] = (0, 0)  # the part of the log that has those that would go
    _runs: dict[Place, list[_Run]] = field(default_factory=dict)

    def add(self, logged: Logged, size: int = 0) -> None:
        """One more that would go. Of a partition in the order of their bases, or there are more
        stretches than need be."""
        self.segments += 1
        self.records += logged.header.count
        self.bytes += size
        if (oldest := logged.oldest_ms) is not None:
            self.first_ms = oldest if self.first_ms is None else min(self.first_ms, oldest)
        if logged.header.count and (newest := logged.newest_ms) is not None:
            self.last_ms = newest if self.last_ms is None else max(self.last_ms, newest)
        start, end = self.logged if self.segments > 1 else logged.batch
        self.logged = min(start, logged.batch[0]), max(end, logged.batch[1])
        self._run_of(logged.name).add(logged)

    def _run_of(self, name: SegmentName) -> _Run:
        runs = self._runs.setdefault((name.topic, name.generation, name.partition), [])
        if not runs or runs[-1].next != name.base:
            runs.append(_Run(name, name.base))
        return runs[-1]

    def block(self, why: str, holds: Iterable[str] = ()) -> None:
        """One segment stays."""
        self.blocked[why] += 1
        self.holds.update(holds)

    def without_any(self) -> Plan:
        """Nothing that would go, and all that is said of what stays."""
        return Plan(blocked=Counter(self.blocked), holds=set(self.holds), years=self.years,
                    uncertified=self.uncertified)  # fmt: skip

    def stretches(self) -> tuple[Stretch, ...]:
        """The segments as stretches of offsets, with the digest of each one's headers."""
        found = [run.stretch() for runs in self._runs.values() for run in runs]
        return tuple(sorted(found, key=lambda each: (each.place, each.base)))


def destroyable(
    years: Collection[int], oldest_left_ms: int | None, now_ms: int, days: int
) -> tuple[int, ...]:
    """Of the years that have keys those that nothing needs any more, given the oldest record that
    is left (None: there is none). A year's own retention must be over, too."""
    found = []
    for year in sorted(years):
        end = int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp() * 1000) + MARGIN_MS
        if end + days * DAY_MS <= now_ms and (oldest_left_ms is None or end <= oldest_left_ms):
            found.append(year)
    return tuple(found)


def stretches_of(value: Sequence[Mapping[str, Any]]) -> tuple[Stretch, ...]:
    """From a private object's value; `FormatError`."""
    try:
        return tuple(Stretch(**each) for each in value)
    except TypeError as error:
        raise FormatError("a purge names something other than stretches") from error

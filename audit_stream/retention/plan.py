"""What has expired, and what keeps it nevertheless. Pure: the clock's word is an argument.

A segment has expired when its newest record is older than its class's retention. A year's key may
go when no record is left that could need it: nothing remains whose first or last record is of a
time before the year's end and `MARGIN_MS` more, for within a segment times may step back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from audit_stream.errors import FormatError
from audit_stream.evidence.disposal import (
    DAY_MS,
    Stretch,
    kept_until_ms,
    leaves_digest,
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
#: The holds as they are when it is called.
ReadHolds = Callable[[], Awaitable[HeldBy]]


async def nobody_holds() -> HeldBy:
    """Of an archive without holds of its own: the store's are asked for besides."""

    async def nobody(_name: SegmentName, _stop: int) -> Sequence[str]:
        return ()

    return nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A segment as the archive log has it."""

    name: SegmentName
    leaf: bytes
    header: Header

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


@dataclass(slots=True, kw_only=True)
class Plan:
    """What a purge would remove, and what stays although its time is over."""

    expired: list[Logged] = field(default_factory=list)
    bytes: int = 0
    blocked: Counter[str] = field(default_factory=Counter)  # segments by why they stay
    holds: set[str] = field(default_factory=set)  # ids of those that block
    years: tuple[int, ...] = ()  # whose keys go with it
    uncertified: int = 0  # segments looked at that no certificate covers, to go or to stay

    @property
    def records(self) -> int:
        """How many would go."""
        return sum(each.header.count for each in self.expired)

    @property
    def first_ms(self) -> int | None:
        """Time of the oldest of them."""
        return min((t for each in self.expired if (t := each.oldest_ms) is not None), default=None)

    @property
    def last_ms(self) -> int | None:
        """Time of the newest of them."""
        times = (each.newest_ms for each in self.expired if each.header.count)
        return max((t for t in times if t is not None), default=None)

    def block(self, why: str, holds: Iterable[str] = ()) -> None:
        """One segment stays."""
        self.blocked[why] += 1
        self.holds.update(holds)

    def stretches(self) -> tuple[Stretch, ...]:
        """The segments as stretches of offsets, with the digest of each one's headers."""
        return tuple(_stretch(run) for run in _runs(self.expired))


def _runs(segments: Iterable[Logged]) -> Iterable[list[Logged]]:
    run: list[Logged] = []
    for each in sorted(segments, key=lambda logged: logged.name):
        if run and not _continues(run[-1], each):
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def _continues(before: Logged, after: Logged) -> bool:
    return replace(before.name, base=before.header.next, attempt=0) == replace(
        after.name, attempt=0
    )


def _stretch(run: Sequence[Logged]) -> Stretch:
    name = run[0].name
    return Stretch(
        topic=name.topic, generation=name.generation, partition=name.partition, base=name.base,
        next=run[-1].header.next, segments=len(run),
        records=sum(each.header.count for each in run),
        leaves=leaves_digest((each.name, each.leaf) for each in run),
    )  # fmt: skip


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

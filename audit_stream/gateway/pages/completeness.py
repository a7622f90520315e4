"""Completeness as a picture: for each topic and partition a strip of days, and it in words."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from audit_stream.evidence.ledger import MEANING
from audit_stream.gateway.followed import Followed
from audit_stream.gateway.pages import words
from audit_stream.gateway.pages.standing import LATE_MS, Place, cut_short, gaps, places
from audit_stream.index.counts import Counted, date_of

NOTHING, GOOD, QUARANTINE, LATE, GAP = "nothing", "good", "quarantine", "late", "gap"
STATES = {
    GOOD: "complete", QUARANTINE: "complete, something in quarantine", LATE: "complete, but late",
    GAP: "something is missing", NOTHING: "nothing archived",
}  # fmt: skip
DAYS = 28


@dataclass(frozen=True, slots=True)
class Cell:
    """One day of one partition."""

    day: int
    state: str
    said: str  # of what stands out, else nothing


@dataclass(frozen=True, slots=True)
class Strip:
    """One partition's days, and what stands out of it as it is now."""

    partition: int
    cells: tuple[Cell, ...]
    counted: Counted
    now: tuple[str, ...] = ()

    @property
    def stands_out(self) -> list[str]:
        """A sentence each."""
        days = [f"{words.day(date_of(each.day))}: {each.said}" for each in self.cells if each.said]
        return [*days, *(f"now: {each}" for each in self.now)]

    @property
    def said(self) -> str:
        """The strip in words."""
        usual = "nothing stands out" if self.counted.offsets else "nothing archived in these days"
        return "; ".join(self.stands_out) or usual

    @property
    def counts(self) -> list[int]:
        """Offsets by disposition, in the order of `LETTERS`."""
        return [self.counted[letter] for letter in MEANING]


@dataclass(frozen=True, slots=True)
class Picture:
    """One topic."""

    topic: str
    strips: tuple[Strip, ...]

    @property
    def findings(self) -> list[str]:
        """What stands out, a line each."""
        return [
            f"Partition {strip.partition}, {each}"
            for strip in self.strips for each in strip.stands_out
        ]  # fmt: skip

    @property
    def is_empty(self) -> bool:
        """Whether nothing of these days is archived."""
        return not any(strip.counted.offsets for strip in self.strips)


def pictures(service: Followed, last: int) -> list[Picture]:
    """Of every topic, the `DAYS` up to the day `last`."""
    first, there = last - DAYS + 1, places(service)
    found: dict[str, dict[int, dict[int, Counted]]] = defaultdict(lambda: defaultdict(dict))
    for each in there:
        found[each.topic][each.partition] = {}
    days_found = list(service.index.days(first, last))
    named = service.index.places()  # behind the days: each of them has its place by now
    for day, place, counted in days_found:
        days = found[named[place].topic][named[place].partition]
        days[day] = days.get(day, Counted()).plus(counted)
    missing, now = _missing(service), _now(service, there)
    return [
        Picture(topic, tuple(
            _strip(number, days, range(first, last + 1), missing.get((topic, number), {}),
                   tuple(now.get((topic, number), ())))
            for number, days in sorted(partitions.items())
        ))
        for topic, partitions in sorted(found.items())
    ]  # fmt: skip


def _now(service: Followed, there: list[Place]) -> dict[tuple[str, int], list[str]]:
    """What stands out of each partition today, whatever days are shown."""
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    for each in there:
        said = found[each.topic, each.partition]
        if str(each) in service.tail.stopped:
            said.append(f"what follows position {each.next:,} does not fit, or is gone")
        if str(each) in service.broken:
            said.append("the archive's log has other files, or more of them, than are stored")
        if each.overtaken:
            said.append(f"{words.counted(each.overtaken, 'event')} left the topic unarchived")
        elif each.waiting:
            said.append(f"{words.counted(each.waiting, 'event')} not archived yet")
    for place, count in cut_short(service.tail.streams, there):
        said = found[place.topic, place.partition]
        said.append(f"{words.counted(count, 'event')} missing at the end of a generation")
    return found


def _missing(service: Followed) -> dict[tuple[str, int], dict[int, int]]:
    """Offsets between two generations, on the first day of the later one."""
    found: dict[tuple[str, int], dict[int, int]] = {}
    indexed_there = service.index.places().values()
    for stream, partition, count in gaps(service.tail.streams):
        for indexed in indexed_there:
            if (indexed.stream, indexed.partition) == (stream.stream, partition):
                day = service.index.first_day(indexed.place)
                if day is not None:
                    found.setdefault((stream.topic, partition), {})[day] = count
    return found


def _strip(
    number: int, days: dict[int, Counted], shown: range, missing: dict[int, int],
    now: tuple[str, ...],
) -> Strip:  # fmt: skip
    whole = Counted()
    for counted in days.values():
        whole = whole.plus(counted)
    cells = tuple(_cell(day, days.get(day, Counted()), missing.get(day, 0)) for day in shown)
    return Strip(number, cells, whole, now)


def _cell(day: int, counted: Counted, missing: int) -> Cell:
    said, state = [], GOOD if counted.offsets else NOTHING
    if counted["q"]:
        state = QUARANTINE
        said.append(f"{words.counted(counted['q'], 'event')} put into quarantine")
    if counted.delay > LATE_MS:
        state = LATE
        said.append(f"sealed up to {words.span(counted.delay / 1000)} late")
    if lost := counted["l"] + missing:
        state = GAP
        said.append(f"{words.counted(lost, 'event')} missing")
    return Cell(day, state, ", ".join(said))

"""What a verification found: facts, first thing wrong first. Rendering is the command line's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum


class Verdict(Enum):
    """The answer; its value is the exit code."""

    VERIFIED = 0
    FAILED = 1
    CANNOT_JUDGE = 3


class Failed(Exception):
    """A step found something wrong.

    `unknown`: a version this release does not know. `signed`: a trusted key stands behind what is
    wrong, so it is not junk someone put there.
    """

    def __init__(self, at: str, what: str, *, unknown: bool = False, signed: bool = False) -> None:
        super().__init__(at, what)
        self.step, self.what, self.unknown, self.signed = at, what, unknown, signed


def step(at: str, fact: bool, what: str) -> None:
    """`Failed` at this step unless the fact holds."""
    if not fact:
        raise Failed(at, what)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: the step that found it, the object's name, and what (line and field)."""

    step: str
    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.step} {self.name}: {self.what}"


@dataclass(slots=True)
class LogReport:
    """What was found; `size` is None where there is no log, or no key to judge it by."""

    size: int | None = None
    time: str | None = None  # of the last digest
    newer: int = 0  # objects that the log does not hold yet
    problems: list[Problem] = field(default_factory=list)
    unknown: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What holds and what does not; counts are of verified segments only."""

    segments: int
    records: int
    streams: int
    assurance: Mapping[str, int]  # segments by the store's level when sealed
    by_partition: Mapping[tuple[str, int], Counter[str]]  # (topic, partition) -> ledger letters
    problems: Sequence[Problem]
    unknown: Sequence[Problem]
    notes: Sequence[str]
    log: LogReport | None = None  # None: not judged
    disposed: tuple[int, int] = (0, 0)  # segments of which the header is left, and their records

    def with_log(self, log: LogReport) -> Report:
        """With what was found of the archive log."""
        return replace(
            self, log=log, problems=[*self.problems, *log.problems],
            unknown=[*self.unknown, *log.unknown], notes=[*self.notes, *log.notes],
        )  # fmt: skip

    @property
    def verdict(self) -> Verdict:
        """Failed if anything is wrong, else cannot judge if a version is unknown."""
        if self.problems:
            return Verdict.FAILED
        return Verdict.CANNOT_JUDGE if self.unknown else Verdict.VERIFIED

    @property
    def by_topic(self) -> dict[str, Counter[str]]:
        """Verified offsets by ledger letter, of each topic."""
        topics: dict[str, Counter[str]] = {}
        for (topic, _), counts in sorted(self.by_partition.items()):
            topics.setdefault(topic, Counter()).update(counts)
        return topics

    @property
    def dispositions(self) -> Counter[str]:
        """Verified offsets by ledger letter."""
        return sum(self.by_partition.values(), Counter())

    @property
    def offsets(self) -> int:
        """Verified offsets."""
        return sum(counts.total() for counts in self.by_partition.values())

"""What a verification found: facts, first thing wrong first. Rendering is the command line's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum


class Verdict(Enum):
    """The answer; its value is the exit code."""

    VERIFIED = 0
    FAILED = 1
    CANNOT_JUDGE = 3


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: the step that found it, the object's name, and what (line and field)."""

    step: str
    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.step} {self.name}: {self.what}"


@dataclass(slots=True)
class Report:
    """Grows while an archive is read; see `verify.archive` for the steps."""

    segments: int = 0
    records: int = 0
    offsets: int = 0
    streams: int = 0
    dispositions: Counter[str] = field(default_factory=Counter)
    by_topic: dict[str, Counter[str]] = field(default_factory=dict)
    assurance: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    unknown: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """Failed if anything is wrong, else cannot judge if a version is unknown."""
        if self.problems:
            return Verdict.FAILED
        return Verdict.CANNOT_JUDGE if self.unknown else Verdict.VERIFIED

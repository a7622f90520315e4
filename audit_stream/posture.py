"""What a store is worth: what it enforces, as findings, and the level that they allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum


class Assurance(IntEnum):
    """How much the store's word is worth, lowest first (design.md section 5)."""

    MUTABLE = 0
    WORM_UNLOCKED = 1
    WORM_LOCKED = 2

    @property
    def label(self) -> str:
        """The name used in headers, answers and settings, e.g. ``worm_locked``."""
        return self.name.lower()


class Standing(Enum):
    """How a fact stands with what it should be."""

    OK = "ok"
    NOTE = "note"  # worth knowing; nothing to do
    WEAK = "weak"  # could be better, and costs no assurance
    BAD = "bad"  # has to be mended
    UNKNOWN = "unknown"  # could not be read; never taken for good


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fact of a store, what it is worth, and what to do about it."""

    fact: str
    value: str
    standing: Standing = Standing.NOTE
    advice: str = ""
    ceiling: Assurance = Assurance.WORM_LOCKED  # the highest level that it leaves possible

    def __str__(self) -> str:
        return f"{self.fact}: {self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """What a store enforces, as findings; together they allow a level."""

    findings: Sequence[Finding]

    @property
    def assurance(self) -> Assurance:
        """The lowest ceiling; of a store nothing is known of, the lowest level."""
        return min((each.ceiling for each in self.findings), default=Assurance.MUTABLE)

    def missing(self, level: Assurance) -> list[Finding]:
        """The findings that keep the store below `level`."""
        return [each for each in self.findings if each.ceiling < level]

"""What the evidence says of bytes that lie under an object's name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Word(Enum):
    """In one word."""

    GOOD = "good"  # signed, or committed to by what is
    WRONG = "wrong"  # not what the name and the evidence ask for
    UNPROVEN = "unproven"  # nothing that is there says either


@dataclass(frozen=True, slots=True)
class Judgement:
    """A word, and why."""

    word: Word
    why: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the bytes may be copied."""
        return self.word is Word.GOOD


GOOD = Judgement(Word.GOOD)


def wrong(why: str) -> Judgement:
    """They are not what they should be."""
    return Judgement(Word.WRONG, why)


def unproven(why: str) -> Judgement:
    """It cannot be told."""
    return Judgement(Word.UNPROVEN, why)

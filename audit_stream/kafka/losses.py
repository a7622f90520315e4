"""What retention took of a rekeyed topic before it was copied: kept beside the group's offset.

The offset behind a loss says nothing of it any more. So the commit that moves it there says both at
once, and every later one again: Kafka keeps a text with each committed offset.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TEXT = re.compile(r"audit-lost/1 ([0-9]{1,19}) ([0-9]{1,19}) ([0-9]{1,19})").fullmatch


@dataclass(frozen=True, slots=True)
class Losses:
    """Offsets of one partition that were deleted before they were copied."""

    count: int
    first: int
    next: int  # behind the last

    @property
    def text(self) -> str:
        """As it is committed."""
        return f"audit-lost/1 {self.count} {self.first} {self.next}"

    @classmethod
    def read(cls, text: str | None) -> Losses | None:
        """From what stands with an offset; None for any other text."""
        found = _TEXT(text or "")
        return None if found is None else cls(*map(int, found.groups()))


def with_lost(known: Losses | None, start: int, stop: int) -> Losses | None:
    """What is known and the offsets [start, stop), of which those below `known.next` are in it."""
    if known is not None:
        start = max(start, known.next)
    if start >= stop:
        return known
    if known is None:
        return Losses(stop - start, start, stop)
    return Losses(known.count + stop - start, known.first, stop)

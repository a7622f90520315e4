"""Versions that stand under one name, as one object that is kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import takewhile

from audit_stream.ports import Kept


def both(one: Kept, other: Kept, *, older: bool) -> Kept:
    """Versions under one name, and another one: the name is free when the last of them is.

    `older`: whether the other is older than all the rest, and so the object itself.
    """
    oldest = other if older else one
    ends = [each.until_ms for each in (one, other) if each.until_ms is not None]
    born = [each.stored_ms for each in (one, other) if each.stored_ms is not None]
    return Kept(
        name=one.name, size=one.size + other.size, stored_ms=min(born, default=None),
        until_ms=max(ends, default=None), held=one.held or other.held,
        oldest_stored_ms=oldest.oldest_stored_ms, oldest_until_ms=oldest.oldest_until_ms,
    )  # fmt: skip


def is_before(bound: str) -> Callable[[str], bool]:
    """Whether a name is less than the bound, where there is one."""
    return lambda name: not bound or name < bound


def narrowed(prefix: str, after: str, before: str) -> str:
    """What all names between the two start with: a longer prefix, where a listing has no other way
    to begin in the middle."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(after, before, strict=False))
    shared = "".join(letter for letter, _ in pairs)
    return shared if shared.startswith(prefix) else prefix


def in_ms(moment: datetime) -> int:
    """Unix milliseconds."""
    return round(moment.timestamp() * 1000)

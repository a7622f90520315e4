"""Whoever has names, with a note of what was asked of it and how much it answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from audit_stream.ports import Kept


@dataclass
class Asked:
    """A store, an inventory or a subject store, whose listings are counted."""

    inner: object
    listings: list[tuple[str, int]] = field(default_factory=list)  # prefix, and names answered
    kept_of: list[tuple[str, ...]] = field(default_factory=list)  # names asked about, by the call

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        found: list[str] = await self.inner.names(  # type: ignore[attr-defined]
            prefix, after=after, limit=limit
        )
        self.listings.append((prefix, len(found)))
        return found

    async def kept(self, prefix: str, **bounds: str) -> Sequence[Kept]:
        found: Sequence[Kept] = await self.inner.kept(prefix, **bounds)  # type: ignore[attr-defined]
        self.kept_of.append(tuple(each.name for each in found))
        return found

    def times(self, prefix: str) -> int:
        """How often it was listed."""
        return sum(each == prefix for each, _ in self.listings)

    def answered(self, prefix: str) -> int:
        """How many names it gave of it, together."""
        return sum(count for each, count in self.listings if each == prefix)

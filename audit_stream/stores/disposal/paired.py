"""Disposal from an archive in two stores: an object is gone when both have let it go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from heapq import merge
from itertools import islice

from audit_stream.ports import Disposer, Kept


class PairedDisposer:
    """`ports.Disposer` of a primary and a second store."""

    def __init__(self, primary: Disposer, secondary: Disposer) -> None:
        self._primary, self._secondary = primary, secondary

    @property
    def url(self) -> str:
        """Of the primary."""
        return self._primary.url

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.Inventory`: of what is on either."""
        lists = await asyncio.gather(*(
            each.names(prefix, after=after, limit=limit)
            for each in (self._primary, self._secondary)
        ))  # fmt: skip
        return list(islice(dict.fromkeys(merge(*lists)), limit))

    async def kept(self, prefix: str, *, after: str = "", before: str = "") -> Sequence[Kept]:
        """See `ports.Inventory`: of what is on either, for as long as one of them keeps it."""
        ours, theirs = await asyncio.gather(*(
            each.kept(prefix, after=after, before=before)
            for each in (self._primary, self._secondary)
        ))  # fmt: skip
        found = {each.name: each for each in theirs}
        found |= {each.name: _longer(each, found.get(each.name)) for each in ours}
        return [found[name] for name in sorted(found)]

    async def remove_expired(self, name: str) -> bool:
        """See `ports.Disposer`. The primary first: what stands on it alone would be copied
        again."""
        first = await self._primary.remove_expired(name)
        return first and await self._secondary.remove_expired(name)

    async def close(self) -> None:
        """See `ports.Inventory`."""
        await self._primary.close()
        await self._secondary.close()


def _longer(one: Kept, other: Kept | None) -> Kept:
    if other is None:
        return one
    ends = [each.until_ms for each in (one, other) if each.until_ms is not None]
    return replace(one, until_ms=max(ends, default=None), held=one.held or other.held)

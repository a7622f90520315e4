"""The names of one folder, gone through once in their order, without what nobody asks for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from audit_stream.evidence import layout

#: Names listed at a time, once many are met: what was listed before is dropped.
MOST_AT_A_TIME = 4096
_MORE = 8  # times as many as the last time
_BEHIND = "\0"  # the first name behind another goes on with it


class Listed(Protocol):
    """What has names: `ports.WormStore`, `ports.SubjectStore`, `ports.Inventory`."""

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.WormStore.names`."""
        ...


class Ascending:
    """Asked in ascending order it lists no name twice, and of a gap between what it is asked for
    only what stands behind it: where nothing stands any more, one name for the whole folder.

    Asked in another order it says the same, and lists again.
    """

    def __init__(self, listed: Listed, folder: str) -> None:
        self._listed, self.folder = listed, folder
        self._after = ""  # the page holds all names behind it, up to its own last
        self._page: list[str] = []
        self._ended = False  # nothing stands behind the page
        self._limit = 1

    async def first(self, least: str) -> str | None:
        """The first name that is `least` or behind it."""
        if least <= self._after:
            self._page, self._ended = [], False
        while True:
            at = bisect_left(self._page, least)
            if at < len(self._page):
                return self._page[at]
            if self._ended:
                return None
            await self._turn(max([least[:-1], *self._page[-1:]]))

    async def _turn(self, after: str) -> None:
        found = await self._listed.names(self.folder, after=after, limit=self._limit)
        self._after, self._page, self._ended = after, found, len(found) < self._limit
        self._limit = min(self._limit * _MORE, MOST_AT_A_TIME)

    async def has(self, name: str) -> bool:
        """Whether it stands there."""
        return await self.first(name) == name


async def at_bases(lists: Sequence[Ascending], base: int, end: int) -> AsyncIterator[str]:
    """What stands on any of the lists of one folder, at the bases from `base` on before `end`."""
    folder = lists[0].folder
    least, bound = layout.at_base(folder, base), layout.at_base(folder, end)
    while True:
        found = [name for each in lists if (name := await each.first(least)) is not None]
        if not found or min(found) >= bound:
            return
        yield min(found)
        least = min(found) + _BEHIND

"""Two stores of one archive, and their names side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from audit_stream.errors import StoreError
from audit_stream.ports import WormStore

Side = Literal["primary", "secondary"]
SIDES: tuple[Side, Side] = ("primary", "secondary")
_PAGE = 1000  # names of each store in memory


def other(side: Side) -> Side:
    """The one that it is not."""
    return "secondary" if side == "primary" else "primary"


class Unreadable(StoreError):
    """One object cannot be read; its store answers otherwise."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Both stores. Errors as `ports.WormStore`'s."""

    primary: WormStore
    secondary: WormStore
    _unreadable: dict[tuple[Side, str], Unreadable] = field(default_factory=dict)

    def of(self, side: Side) -> WormStore:
        """The store of a side."""
        return self.primary if side == "primary" else self.secondary

    async def read(self, side: Side, name: str) -> bytes | None:
        """The bytes under a name on one side, None when it is free there.

        `Unreadable` when the store answers and does not give them: they were damaged under it.
        That takes some attempts, and is found out once.
        """
        if (known := self._unreadable.get((side, name))) is not None:
            raise known
        store = self.of(side)
        try:
            return await store.get(name)
        except StoreError as error:
            await store.names(name, limit=1)  # raises where the store itself is away
            self._unreadable[side, name] = Unreadable(error.message, hint=error.hint)
            raise self._unreadable[side, name] from error

    async def candidates(self, name: str) -> list[bytes]:
        """The different bytes that can be read under a name, the primary's first."""
        found: list[bytes] = []
        for side in SIDES:
            with suppress(Unreadable):
                data = await self.read(side, name)
                if data is not None and data not in found:
                    found.append(data)
        return found

    async def names(self, prefix: str) -> list[str]:
        """The names on either, ascending: for prefixes of few."""
        lists = await asyncio.gather(self.primary.names(prefix), self.secondary.names(prefix))
        return sorted({*lists[0], *lists[1]})

    async def pairs(self, *, after: str = "") -> AsyncIterator[tuple[str, Sequence[Side]]]:
        """Every name behind `after`, ascending, and where it stands. A page of names of each store
        is in memory, however many there are."""
        walks = [_walk(self.of(side), after) for side in SIDES]
        heads = [await anext(walk, None) for walk in walks]
        while any(head is not None for head in heads):
            name = min(head for head in heads if head is not None)
            standing = [side for side, head in zip(SIDES, heads, strict=True) if head == name]
            yield name, standing
            for at, head in enumerate(heads):
                if head == name:
                    heads[at] = await anext(walks[at], None)


async def _walk(store: WormStore, after: str) -> AsyncIterator[str]:
    while page := await store.names("", after=after, limit=_PAGE):
        for name in page:
            yield name
        after = page[-1]

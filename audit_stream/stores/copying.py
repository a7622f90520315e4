"""Copies from one store to a second one, of a chain never one without those before it.

Segments, a register's entries and the log's batches are chains: the objects of a folder, in the
order of their names. Whatever a crash left uncopied, the second store holds the beginning of each
chain and no hole in it, so it is an archive by itself at any time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Protocol

from audit_stream.errors import Diverged
from audit_stream.ports import PutResult, WormStore

_PAGE = 256  # names
_KNOWN = 4096  # names outside chains that are known to stand on both

#: Told the name, and what is wrong, before `Diverged` is raised.
Told = Callable[[str, str], None]


class Order(Protocol):
    """What is known of names: which of them are chains."""

    def folder(self, name: str) -> str | None:
        """The folder, with its slash, of the chain that an object is of; None: of none."""
        ...

    async def newest(self, store: WormStore, folder: str) -> str | None:
        """The last name of a chain, without listing it; None of one that was not begun."""
        ...

    def stand_in(self, name: str) -> str | None:
        """The name of what is kept of the object where it was disposed of; None: it never is."""
        ...


class _Chain:
    """How far a chain is known to stand on the second store."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.last: str | None = None  # "": nothing; None: it was not looked at yet


class Copier:
    """Copies to `secondary` what stands on `primary`. Belongs to one event loop."""

    def __init__(
        self, primary: WormStore, secondary: WormStore, order: Order, told: Told
    ) -> None:  # fmt: skip
        self._primary, self._secondary = primary, secondary
        self._order, self._told = order, told
        self._chains: dict[str, _Chain] = {}
        self._known: OrderedDict[str, None] = OrderedDict()

    def lane(self, name: str) -> str:
        """Objects of one lane are copied one after another, those of others beside them."""
        return self._order.folder(name) or name

    async def bring(self, name: str, data: bytes | None, metadata: Mapping[str, str]) -> None:
        """Have `name` on the second store, and its chain up to it. `data` is what stands on the
        primary, None if that has to be read.

        `Diverged` when other bytes stand there: nothing is overwritten. Errors as `WormStore`'s.
        """
        folder = self._order.folder(name)
        if folder is None:
            await self._copy(name, data, metadata)
            self._know(name)
            return
        chain = self._chains.setdefault(folder, _Chain())
        async with chain.lock:
            await self._catch_up(chain, folder, name)
            await self._copy(name, data, metadata)
            chain.last = max(await self._looked_at(chain, folder), name)

    async def reach(self, name: str) -> None:
        """As `bring`, of an object that was read: does nothing where it is known to stand."""
        folder = self._order.folder(name)
        if folder is None:
            if name in self._known:
                return
            if await self._secondary.names(name, limit=1) == [name]:
                self._know(name)
                return
        elif await self._last(folder) >= name:
            return
        await self.bring(name, None, {})

    async def _last(self, folder: str) -> str:
        chain = self._chains.setdefault(folder, _Chain())
        async with chain.lock:
            return await self._looked_at(chain, folder)

    async def _looked_at(self, chain: _Chain, folder: str) -> str:
        if chain.last is None:
            chain.last = await self._agreed(folder)
        return chain.last

    async def _catch_up(self, chain: _Chain, folder: str, name: str) -> None:
        """Copy what of the chain is before `name` and was left uncopied by a crash."""
        at = await self._looked_at(chain, folder)
        while page := await self._primary.names(folder, after=at, limit=_PAGE):
            for between in page:
                if between >= name:
                    return
                await self._copy(between, None, {})
                chain.last = at = between

    async def _agreed(self, folder: str) -> str:
        """Where the chain ends on the second store: both must have the same there. Up to the
        number alone: what stands beside the last one under its number is to be looked at, too."""
        newest = await self._order.newest(self._secondary, folder)
        if newest is None:
            return ""
        ours = await self._primary.get(newest)
        if ours is None:
            kept = self._order.stand_in(newest)
            if kept is None or await self._primary.get(kept) is None:
                raise self._diverged(newest, "stands on the second store alone")
        elif ours != await self._secondary.get(newest):
            raise self._diverged(newest, "has other bytes on the second store")
        return folder + newest.removeprefix(folder).partition(".")[0]

    async def _copy(self, name: str, data: bytes | None, metadata: Mapping[str, str]) -> None:
        data = await self._primary.get(name) if data is None else data
        if data is None:
            return  # disposed of since it was listed
        if await self._secondary.put_if_absent(name, data, metadata) is PutResult.EXISTS:
            raise self._diverged(name, "has other bytes on the second store")

    def _know(self, name: str) -> None:
        self._known[name] = None
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)

    def _diverged(self, name: str, what: str) -> Diverged:
        self._told(name, what)
        return Diverged(f"{name} {what}", hint="read docs/runbooks/second-store.md")

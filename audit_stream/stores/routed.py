"""One archive in several stores: a retention class's segments and streams lie in its own.

By their topic, which names tell; everything else (log, maps, registers, access journals, what is
kept of segments that were disposed of) lies in the main store. To whoever uses it, it is one store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from heapq import merge
from itertools import islice

from audit_stream.ports import HoldLevel, PutResult, WormStore
from audit_stream.posture import Assurance, Finding, Posture, Standing

_BY_TOPIC = ("segments/", "streams/")


class RoutedStore:
    """`ports.WormStore` over a main store and one for some classes; `class_of` a topic."""

    def __init__(
        self, main: WormStore, classes: Mapping[str, WormStore], class_of: Callable[[str], str]
    ) -> None:
        self._main, self._classes, self._class_of = main, classes, class_of

    @property
    def url(self) -> str:
        """Of the main store."""
        return self._main.url

    def of(self, name: str) -> WormStore:
        """The store that an object lies in."""
        topic = _topic(name)
        return self._main if topic is None else self._of_topic(topic)

    def _of_topic(self, topic: str) -> WormStore:
        return self._classes.get(self._class_of(topic), self._main)

    async def put_if_absent(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        """See `ports.WormStore`."""
        return await self.of(name).put_if_absent(name, data, metadata)

    async def get(self, name: str) -> bytes | None:
        """See `ports.WormStore`."""
        return await self.of(name).get(name)

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.WormStore`. Only a prefix that does not name a topic asks all stores."""
        if _topic(prefix) is not None or not _may_hold_topics(prefix):
            return await self.of(prefix).names(prefix, after=after, limit=limit)
        lists = await asyncio.gather(
            *(each.names(prefix, after=after, limit=limit) for each in self._all)
        )
        return list(islice(dict.fromkeys(merge(*lists)), limit))

    async def extend_retention(self, name: str, until_ms: int) -> None:
        """See `ports.WormStore`."""
        await self.of(name).extend_retention(name, until_ms)

    async def set_hold(self, name: str, held: bool) -> None:
        """See `ports.WormStore`."""
        await self.of(name).set_hold(name, held)

    async def held(self, name: str) -> bool | None:
        """See `ports.WormStore`."""
        return await self.of(name).held(name)

    async def hold_level(self) -> HoldLevel:
        """See `ports.WormStore`: on objects where every store can; a hold on one container would
        leave the others' objects free."""
        levels = {await each.hold_level() for each in self._all}
        return HoldLevel.OBJECT if levels == {HoldLevel.OBJECT} else HoldLevel.NONE

    @property
    def _all(self) -> list[WormStore]:
        return [self._main, *self._classes.values()]

    async def posture(self) -> Posture:
        """See `ports.WormStore`: the weakest counts. What lies in the wrong store would not be
        found, so it is looked for."""
        found = await asyncio.gather(*(each.posture() for each in self._all))
        findings = [*found[0].findings]
        for tag, posture in zip(self._classes, found[1:], strict=True):
            findings += (replace(each, fact=f"{tag}: {each.fact}") for each in posture.findings)
        return Posture(findings=[*findings, *await self._astray()])

    async def _astray(self) -> list[Finding]:
        """Streams in another store than their class's."""
        found = []
        for store in self._all:
            for name in await store.names("streams/"):
                if self.of(name) is not store:
                    found.append(Finding(
                        fact="routing", value=f"{name} lies in {store.url}", standing=Standing.BAD,
                        ceiling=Assurance.MUTABLE,
                        advice="a class moved: set AUDIT_ARCHIVES and AUDIT_REGULATORY_TAGS as "
                        "they were at its first record",
                    ))  # fmt: skip
        return found

    async def close(self) -> None:
        """See `ports.WormStore`."""
        for each in self._all:
            await each.close()


def _topic(name: str) -> str | None:
    """The topic that a name, or a prefix of names, spells out."""
    for folder in _BY_TOPIC:
        topic, slash, _ = name.removeprefix(folder).partition("/")
        if name.startswith(folder) and slash:
            return topic
    return None


def _may_hold_topics(prefix: str) -> bool:
    return any(folder.startswith(prefix) or prefix.startswith(folder) for folder in _BY_TOPIC)

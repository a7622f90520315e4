"""The active holds as a worker knows them: read when it starts and every minute since."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from audit_stream.holds.active import ActiveHolds, HoldsReader
from audit_stream.ports import HoldLevel, WormStore
from audit_stream.seal.builder import Sealed

LOOK_SECONDS = 60.0


class Held:
    """Says of a sealed segment which holds hold it. Costs nothing while there are none."""

    def __init__(self, reader: HoldsReader, store: WormStore) -> None:
        self._reader, self._store = reader, store
        self._active = ActiveHolds()

    async def look(self) -> None:
        """Read what is active, where objects can be held at all."""
        if await self._store.hold_level() is HoldLevel.OBJECT:
            self._active = await self._reader.now()

    def __call__(self, sealed: Sealed, body: Callable[[], bytes]) -> Sequence[str]:
        """Ids of the holds on a segment; blocking, for a thread."""
        if not self._active:
            return ()
        name, stop = sealed.name, sealed.header.next
        place = (name.topic, name.generation, name.partition)
        return sorted(self._active.in_segment(place, name.base, stop, sealed.tags, body))

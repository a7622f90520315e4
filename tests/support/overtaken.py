"""A store in which somebody else writes while one is about to put an object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from audit_stream.ports import PutResult
from audit_stream.stores.memory import MemoryWormStore


class Overtaken(MemoryWormStore):
    """Before the next put `rival` runs, once."""

    rival: Callable[[], Awaitable[object]] | None = None

    async def put_if_absent(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        rival, self.rival = self.rival, None
        if rival is not None:
            await rival()
        return await super().put_if_absent(name, data, metadata)

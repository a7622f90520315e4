"""A clock that moves when told, so that minutes of waiting take no time."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Coroutine
from typing import Any, TypeVar

R = TypeVar("R")


class FakeClock:
    """`ports.Clock`. `advance` and `run` move it from one sleeper's end to the next."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        self._count += 1
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, self._count, woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, with everything that happens in them."""
        end = self.now + seconds
        await settle()
        while (due := self._next_due()) is not None and due <= end:
            self._wake(due)
            await settle()
        self.now = end
        await settle()

    async def run(self, work: Coroutine[Any, Any, R]) -> R:
        """The result of `work`, however long it sleeps."""
        task = asyncio.ensure_future(work)
        await settle()
        while not task.done():
            due = self._next_due()
            assert due is not None, "the work waits for something that time does not bring"
            self._wake(due)
            await settle()
        return task.result()

    def _next_due(self) -> float | None:
        while self._sleepers and self._sleepers[0][2].done():  # cancelled
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def _wake(self, due: float) -> None:
        self.now = max(self.now, due)
        heapq.heappop(self._sleepers)[2].set_result(None)


async def settle() -> None:
    """Let every task run until it waits for something that only time or a test can bring."""
    for _ in range(50):
        await asyncio.sleep(0)

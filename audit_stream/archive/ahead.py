"""Reading ahead: what comes next is fetched while what came is worked on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


@asynccontextmanager
async def ahead(source: AsyncIterator[T], size: int) -> AsyncIterator[AsyncIterator[T]]:
    """The items of `source` for the block, up to `size` of them held ready; its errors are ours."""
    queue: asyncio.Queue[T | _End] = asyncio.Queue(size)
    task = asyncio.create_task(_pump(source, queue))
    try:
        yield _drain(queue)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _End:
    """Nothing comes any more, because of the error if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error


async def _pump(source: AsyncIterator[T], queue: asyncio.Queue[T | _End]) -> None:
    end = _End()
    try:
        async for item in source:
            await queue.put(item)
    except Exception as error:
        end = _End(error)
    await queue.put(end)


async def _drain(queue: asyncio.Queue[T | _End]) -> AsyncIterator[T]:
    while not isinstance(item := await queue.get(), _End):
        yield item
    if item.error is not None:
        raise item.error

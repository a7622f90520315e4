"""Reading ahead: what comes next is fetched while what came is worked on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


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


async def in_flight(
    items: AsyncIterable[T], work: Callable[[T], Awaitable[R]], size: int
) -> AsyncGenerator[R, None]:
    """What `work` makes of each item, in their order, with up to `size` of them at work at once.

    Errors are ours. Who does not take all of it closes it (`contextlib.aclosing`).
    """
    tasks: deque[asyncio.Future[R]] = deque()
    try:
        async for item in items:
            tasks.append(asyncio.ensure_future(work(item)))
            if len(tasks) >= size:
                yield await tasks.popleft()
        while tasks:
            yield await tasks.popleft()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

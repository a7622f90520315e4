"""Reading ahead: what comes next is fetched while what came is worked on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
)
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
    items: AsyncIterable[T] | Iterable[T], work: Callable[[T], Awaitable[R]], size: int
) -> AsyncGenerator[R, None]:
    """What `work` makes of each item, in their order, with up to `size` of them at work at once.

    Errors are ours. Who does not take all of it closes it (`contextlib.aclosing`).
    """
    tasks: deque[asyncio.Future[R]] = deque()
    try:
        async for item in _one_by_one(items):
            tasks.append(asyncio.ensure_future(work(item)))
            if len(tasks) >= size:
                yield await tasks.popleft()
        while tasks:
            yield await tasks.popleft()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _one_by_one(items: AsyncIterable[T] | Iterable[T]) -> AsyncIterator[T]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


class Expected:
    """Objects that are fetched before they are asked for: up to `size` of those expected next.

    Only for what is never changed once it stands. Who is done with it calls `drop`.
    """

    def __init__(self, get: Callable[[str], Awaitable[bytes | None]], size: int) -> None:
        self._get, self._size = get, size
        self._names: deque[str] = deque()
        self._fetched: dict[str, asyncio.Future[bytes | None]] = {}

    @property
    def left(self) -> int:
        """How many of the expected were not asked for yet."""
        return len(self._names) + len(self._fetched)

    def expect(self, names: Iterable[str]) -> None:
        """These come next, in this order."""
        self._names.extend(names)
        self._fill()

    async def get(self, name: str) -> bytes | None:
        """An object, expected or not; None when nothing stands there. Raises as `get` does."""
        if name in self._fetched:
            self._pass_over(name)
        fetched = self._fetched.pop(name, None)
        self._fill()
        found = None if fetched is None else await fetched
        return await self._get(name) if found is None else found

    def drop(self) -> None:
        """Expect nothing any more."""
        self._names.clear()
        for fetched in self._fetched.values():
            fetched.cancel()
        self._fetched.clear()

    def _pass_over(self, name: str) -> None:
        """Let go of what was expected before it, and nobody asked for."""
        for other in list(self._fetched):
            if other == name:
                return
            self._fetched.pop(other).cancel()

    def _fill(self) -> None:
        while self._names and len(self._fetched) < self._size:
            name = self._names.popleft()
            fetched = self._fetched[name] = asyncio.ensure_future(self._get(name))
            fetched.add_done_callback(_seen)


def _seen(fetched: asyncio.Future[bytes | None]) -> None:
    """An error belongs to who asks; if nobody does, to nobody."""
    if not fetched.cancelled():
        fetched.exception()

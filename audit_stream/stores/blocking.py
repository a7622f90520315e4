"""Reading a store without an event loop, ahead of whoever reads: the verifier is plain code."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from audit_stream.ports import WormStore

R = TypeVar("R")
_AHEAD = 8  # objects under way at once; a segment is some megabytes at most


class BlockingReader:
    """`get` and `names` of a `ports.WormStore`, run in a loop on a thread of its own.

    Use it with `open_reader`. Raises what the store raises.
    """

    def __init__(self, store: WormStore, loop: asyncio.AbstractEventLoop) -> None:
        self._store, self._loop = store, loop
        self._order: Sequence[str] = ()
        self._place: dict[str, int] = {}
        self._ahead: dict[str, Future[bytes | None]] = {}

    def names(self, prefix: str) -> list[str]:
        """All names that start with `prefix`, ascending."""
        return self._start(self._store.names(prefix)).result()

    def expect(self, order: Sequence[str]) -> None:
        """These will be read about in this order: fetch the next ones while one is judged."""
        self._order = order
        self._place = {name: i for i, name in enumerate(order)}

    def get(self, name: str) -> bytes | None:
        """The bytes under `name`, or None."""
        first = self._place.get(name)
        ahead = [name] if first is None else self._order[first : first + _AHEAD]
        for coming in ahead:
            if coming not in self._ahead:
                self._ahead[coming] = self._start(self._store.get(coming))
        return self._ahead.pop(name).result()

    def _start(self, call: Coroutine[Any, Any, R]) -> Future[R]:
        return asyncio.run_coroutine_threadsafe(call, self._loop)


@contextmanager
def open_reader(store: WormStore) -> Iterator[BlockingReader]:
    """A reader of `store`, which is closed with it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="store reader", daemon=True)
    thread.start()
    try:
        yield BlockingReader(store, loop)
    finally:
        asyncio.run_coroutine_threadsafe(_end(store), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(store: WormStore) -> None:
    """Close the store after what was read ahead in vain."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await store.close()

"""Blocking calls off the event loop, in one bounded pool, each within a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from audit_stream.errors import StoreRefused, StoreTransient

P = ParamSpec("P")
R = TypeVar("R")

TIME_LIMIT = 60.0  # seconds; a disk that takes longer is as good as gone


class Offload:
    """Runs a store's blocking calls.

    A call that hangs (a file server that went away) keeps its thread, but not its caller. Threads
    are few, so that a hanging disk is not met with ever more of them.
    """

    def __init__(
        self, name: str, *, threads: int = 4, time_limit: float = TIME_LIMIT,
        hint: str = "look at the disk or the file server",
    ) -> None:  # fmt: skip
        self._name = name
        self._hint = hint
        self._time_limit = time_limit
        self._closed = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What `call` returns. `StoreTransient` after the time limit; it may still end later."""
        if self._closed:
            raise StoreRefused(f"{self._name} is closed")
        pending = self._pool.submit(call, *args, **kwargs)
        try:
            async with asyncio.timeout(self._time_limit):
                return await asyncio.wrap_future(pending)
        except TimeoutError:
            raise StoreTransient(
                f"{self._name} did not answer within {self._time_limit:g} s",
                hint=self._hint,
            ) from None

    async def close(self) -> None:
        """Take no more calls; those that wait are dropped, those that run are not waited for."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

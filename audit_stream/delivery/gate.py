"""When posts may leave: together they wait while the receiver asks for it, or keys are changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from audit_stream.ports import Clock


class Gate:
    """Posts pass side by side; whoever closes it has them all outside."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open, self._empty = asyncio.Event(), asyncio.Event()
        self._open.set()
        self._empty.set()
        self._until = 0.0  # seconds of the clock: none passes before
        self._closers: set[object] = set()
        self.inside = 0  # posts under way

    @contextlib.asynccontextmanager
    async def passed(self) -> AsyncIterator[None]:
        """One post, for the block."""
        while not self._open.is_set() or (wait := self._until - self._clock.monotonic()) > 0:
            if self._open.is_set():
                await self._clock.sleep(wait)
            else:
                await self._open.wait()
        self.inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self.inside -= 1
            if not self.inside:
                self._empty.set()

    def hold(self, seconds: float) -> None:
        """None passes for so long."""
        self._until = max(self._until, self._clock.monotonic() + seconds)

    @contextlib.asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """None is under way during the block; those inside are waited for."""
        me = object()
        self.shut(me)
        try:
            await self._empty.wait()
            yield
        finally:
            self.reopen(me)

    def shut(self, why: object) -> None:
        """None passes until everyone who shut it has reopened it."""
        self._closers.add(why)
        self._open.clear()

    def reopen(self, why: object) -> None:
        """Take it back; again is harmless."""
        self._closers.discard(why)
        if not self._closers:
            self._open.set()

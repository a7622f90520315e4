"""Who is at work with the keys of now: whoever puts others in their place can wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class _Turn:
    def __init__(self) -> None:
        self.at_work = 0
        self.idle = asyncio.Event()
        self.idle.set()


class Turns:
    """One turn after another, each ended when the last one at work in it is done."""

    def __init__(self) -> None:
        self._now = _Turn()

    @contextmanager
    def working(self) -> Iterator[None]:
        """At work in the turn of now, until the block is left."""
        turn = self._now
        turn.at_work += 1
        turn.idle.clear()
        try:
            yield
        finally:
            turn.at_work -= 1
            if not turn.at_work:
                turn.idle.set()

    async def over(self) -> None:
        """Begin the next turn; return when nobody is at work any more who began before."""
        turn, self._now = self._now, _Turn()
        await turn.idle.wait()

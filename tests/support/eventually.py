"""Wait for what another process brings about, without guessing how long it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


async def eventually(check: Callable[[], Awaitable[bool]], limit_seconds: float = 30.0) -> None:
    """Return once `check` holds; fail when it does not within the limit."""
    deadline = time.monotonic() + limit_seconds
    while not await check():
        assert time.monotonic() < deadline, "the condition did not come to hold"
        await asyncio.sleep(0.05)


def until(check: Callable[[], bool], limit_seconds: float = 30.0) -> None:
    """The same where no event loop runs."""

    async def holds() -> bool:
        return check()

    asyncio.run(eventually(holds, limit_seconds))

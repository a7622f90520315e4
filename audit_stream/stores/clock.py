"""The machine's monotonic clock."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """`ports.Clock` on the running event loop."""

    def monotonic(self) -> float:
        """Seconds since some moment before the process."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait, letting other tasks run."""
        await asyncio.sleep(seconds)

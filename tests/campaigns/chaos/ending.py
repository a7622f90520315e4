"""A campaign that is told to end ends as one that failed: with everything undone."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def cancelled_by_signals() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP cancel the task that entered it.

    asyncio.run does the same for Ctrl-C. What surrounds the block is left by CancelledError, so
    each `async with` ends what it began.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in SIGNALS:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)

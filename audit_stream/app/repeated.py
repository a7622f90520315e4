"""Work that is done beside what a process is for, and work that is done again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

from audit_stream.errors import AuditError
from audit_stream.ports import Alerts
from audit_stream.telemetry.discreet import where


async def repeated(
    work: Callable[[], Awaitable[object]], seconds: float, alarms: Alerts, key: str, what: str
) -> None:
    """For ever, so many seconds after the time before. When it fails, the alarm `key` says that
    `what` did not go well, until it does; no failure ends it."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except AuditError as error:
            alarms.raise_alarm(key, f"{what} failed: {error}")
        except Exception as error:  # one that nobody thought of, and whose text may say anything
            alarms.raise_alarm(key, f"{what} failed: {type(error).__name__} at {where(error)}")
        else:
            alarms.close_alarm(key, f"{what} goes well again")


@asynccontextmanager
async def beside(works: Iterable[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Do these for as long as the block takes; they have ended when it has."""
    tasks = [asyncio.create_task(each) for each in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # a last word is that they left

"""Work that is done again and again beside what a process is for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

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

"""A keeper's work as a service: again and again until SIGTERM, with metrics, health and alarms."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

from audit_stream.app.alarms import alarm_board
from audit_stream.app.standing import tell_standing
from audit_stream.errors import AuditError
from audit_stream.settings import Settings
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics
from audit_stream.telemetry.web import WebServer

_LAST_ALARMS_SECONDS = 2.0
#: One pass of the work.
Pass = Callable[[Metrics, AlarmBoard], Awaitable[None]]


async def keep(
    settings: Settings, name: str, alarm: tuple[str, str], work: Pass, every: float,
    alarms: AlarmBoard | None = None,
) -> None:  # fmt: skip
    """Every so many seconds, until SIGTERM or SIGINT. `name` is a condition of readiness, which a
    pass that fails takes away; `alarm`: key, and what did not go well; `alarms`: the process's, if
    it has some already. No failure ends it."""
    metrics, health, alarms = Metrics(), Health(name), alarms or alarm_board(settings)
    tell_standing(metrics, health, alarms)
    web = WebServer(settings.web_host, settings.web_port, metrics.registry, health, alarms)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    web.start()
    key, what = alarm
    try:
        while not stop.is_set():
            try:
                await work(metrics, alarms)
            except AuditError as error:
                alarms.raise_alarm(key, f"{what} failed: {error}")
                health.set_ready(name, False)
            else:
                alarms.close_alarm(key, f"{what} goes well again")
                health.set_ready(name, True)
            await _pause(stop, every)
    finally:
        alarms.flush(_LAST_ALARMS_SECONDS)
        web.stop()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({stopping}, timeout=seconds)
    stopping.cancel()

"""Alerts of a real Prometheus, waited for: that one is silent, fires, and is over."""

from __future__ import annotations

import time
from typing import Any

from tests.support.eventually import eventually
from tests.support.prometheus import Prometheus

LIMIT_SECONDS = 150.0


class Watched:
    """Waits on one Prometheus, and keeps how long each alert took."""

    def __init__(self, prometheus: Prometheus) -> None:
        self.prometheus = prometheus
        self.fired: dict[str, float] = {}  # seconds from being waited for
        self.over: dict[str, float] = {}
        self.seen: dict[str, dict[str, Any]] = {}  # the alert as Prometheus told it

    async def scraped(self, expression: str) -> None:
        """Return once the expression has a result: what comes after it is seen as a rise."""

        async def found() -> bool:
            return bool(await self.prometheus.query(expression))

        await eventually(found, LIMIT_SECONDS)

    async def silent(self, *names: str, **labels: str) -> None:
        """Return once none of them fires: before a fault, so that it is the fault's."""
        for name in names:
            await self._wait(name, labels, False)

    async def fires(self, *names: str, **labels: str) -> None:
        """Return once each fires with these labels."""
        started = time.monotonic()
        for name in names:
            await self._wait(name, labels, True)
            self.fired[name] = time.monotonic() - started

    async def ends(self, *names: str, **labels: str) -> None:
        """Return once none fires with these labels any more."""
        started = time.monotonic()
        for name in names:
            await self._wait(name, labels, False)
            self.over[name] = time.monotonic() - started

    async def _wait(self, name: str, labels: dict[str, str], wanted: bool) -> None:
        async def holds() -> bool:
            for alert in await self.prometheus.firing():
                if {"alertname": f"AuditStream{name}", **labels}.items() <= alert["labels"].items():
                    self.seen[name] = alert
                    return wanted
            return not wanted

        try:
            await eventually(holds, LIMIT_SECONDS)
        except AssertionError:
            verdict = "did not fire" if wanted else "is not over"
            raise AssertionError(f"{name} {labels} {verdict}\n{await self._state()}") from None

    async def _state(self) -> str:
        """What is, and what is scraped: for the message of a failure."""
        found = [*await self.prometheus.query("ALERTS"), *await self.prometheus.query("up")]
        return "\n".join(f"{series['metric']} {series['value'][1]}" for series in found)

    def table(self) -> str:
        """Seconds until each fired, and until it was over."""
        rows = [f"{name:28} fired after {seconds:5.1f} s" + (
            f", over after {self.over[name]:5.1f} s" if name in self.over else ""
        ) for name, seconds in sorted(self.fired.items())]  # fmt: skip
        return "\n".join(rows)

"""What every process tells at a scrape of how it stands, asked from the web server's thread."""

from __future__ import annotations

from functools import partial

from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics


def tell_standing(metrics: Metrics, health: Health, alarms: AlarmBoard) -> None:
    """Open alarms, and each condition of readiness that there is by now."""
    metrics.open_alarms.set_function(lambda: len(alarms.open()))
    for condition in health.ready():
        metrics.ready.labels(condition).set_function(partial(_holds, health, condition))


def _holds(health: Health, condition: str) -> float:
    return float(health.ready()[condition])

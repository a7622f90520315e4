"""What every process tells of how it stands, asked from the web server's thread."""

from __future__ import annotations

from functools import partial

from audit_stream.stores.breaker import BreakerState, CircuitBreaker
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics


def tell_standing(metrics: Metrics, health: Health, alarms: AlarmBoard) -> None:
    """Open alarms, and each condition of readiness that there is by now."""
    metrics.open_alarms.set_function(lambda: len(alarms.open()))
    for condition in health.ready():
        metrics.ready.labels(condition).set_function(partial(_holds, health, condition))


def tell_breaker(
    breaker: CircuitBreaker, metrics: Metrics, health: Health, condition: str | None
) -> None:
    """Whether it is open, from now on; `condition`: what of readiness it takes away then."""

    def tell(_old: BreakerState, new: BreakerState, _reason: str) -> None:
        closed = new is BreakerState.CLOSED
        metrics.breaker_open.labels(breaker.target).set(0 if closed else 1)
        if condition is not None:
            health.set_ready(condition, closed)

    breaker.add_listener(tell)
    tell(breaker.state, breaker.state, "")


def _holds(health: Health, condition: str) -> float:
    return float(health.ready()[condition])

"""A worker's two targets, each behind a breaker of its own that metrics and readiness follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audit_stream.app.places import archive_store, subject_store
from audit_stream.settings import Settings
from audit_stream.stores.breaker import BreakerPolicy, BreakerState, CircuitBreaker
from audit_stream.stores.clock import SystemClock
from audit_stream.stores.pace import Pace
from audit_stream.stores.retry import ResilientStore, ResilientSubjectStore
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics

#: Target -> the condition of readiness that its breaker sets.
READY = {"archive": "breaker_closed", "subjects": "subjects_breaker_closed"}


@dataclass(frozen=True, slots=True)
class GuardedStores:
    """The archive and the subject objects, as a worker uses them."""

    archive: ResilientStore
    subjects: ResilientSubjectStore
    breakers: Mapping[str, CircuitBreaker]

    @property
    def failing(self) -> bool:
        """Whether a breaker is open: nothing can be stored, so nothing should be fetched."""
        return any(not breaker.is_closed for breaker in self.breakers.values())

    def be_patient(self) -> None:
        """From now on both are waited for, whatever is asked of them."""
        self.archive.be_patient()
        self.subjects.be_patient()

    async def close(self) -> None:
        """Close both."""
        await self.archive.close()
        await self.subjects.close()


def guarded_stores(
    settings: Settings, alarms: AlarmBoard, metrics: Metrics, health: Health
) -> GuardedStores:
    """Open both."""
    clock = SystemClock()
    breakers = {target: _breaker(target, settings, alarms, metrics, health) for target in READY}
    turn = Pace(breakers.values(), clock=clock).turn
    return GuardedStores(
        ResilientStore(archive_store(settings, turn), breakers["archive"], clock=clock),
        ResilientSubjectStore(subject_store(settings, turn), breakers["subjects"], clock=clock),
        breakers,
    )


def _breaker(
    target: str, settings: Settings, alarms: AlarmBoard, metrics: Metrics, health: Health
) -> CircuitBreaker:
    policy = BreakerPolicy(
        max_failures=settings.breaker_attempts, first_delay=settings.breaker_probe_seconds
    )
    breaker = CircuitBreaker(target, clock=SystemClock(), alerts=alarms, policy=policy)

    def tell(_old: BreakerState, new: BreakerState, _reason: str) -> None:
        closed = new is BreakerState.CLOSED
        metrics.breaker_open.labels(target).set(0 if closed else 1)
        health.set_ready(READY[target], closed)

    breaker.add_listener(tell)
    tell(breaker.state, breaker.state, "")
    return breaker

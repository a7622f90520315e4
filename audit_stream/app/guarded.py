"""A process's targets, each behind a breaker of its own that metrics and readiness follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audit_stream.app.places import archive_store, subject_store
from audit_stream.app.second import SECOND, holds_up, measure, mirrored, second_store, tell_diverged
from audit_stream.app.standing import tell_breaker
from audit_stream.settings import Settings
from audit_stream.stores.breaker import BreakerPolicy, CircuitBreaker
from audit_stream.stores.clock import SystemClock
from audit_stream.stores.mirrored import MirroredStore
from audit_stream.stores.pace import Pace
from audit_stream.stores.retry import ResilientStore, ResilientSubjectStore
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics

#: Target -> the condition of readiness that its breaker sets.
READY = {"archive": "breaker_closed", "subjects": "subjects_breaker_closed"}
#: The condition of a second store that nothing counts as stored without.
SECOND_READY = "secondary_breaker_closed"


@dataclass(frozen=True, slots=True)
class GuardedStores:
    """The archive and the subject objects, as a process uses them."""

    archive: ResilientStore | MirroredStore
    subjects: ResilientSubjectStore
    breakers: Mapping[str, CircuitBreaker]
    second: CircuitBreaker | None = None

    @property
    def failing(self) -> bool:
        """Whether nothing can be stored, so nothing should be fetched."""
        return self._waits_for_second or any(not each.is_closed for each in self.breakers.values())

    @property
    def _waits_for_second(self) -> bool:
        archive, second = self.archive, self.second
        if second is None or not isinstance(archive, MirroredStore):
            return False
        return holds_up(archive, lambda: not second.is_closed)

    def be_patient(self) -> None:
        """From now on all are waited for, whatever is asked of them."""
        self.archive.be_patient()
        self.subjects.be_patient()

    async def close(self) -> None:
        """Close all."""
        await self.archive.close()
        await self.subjects.close()


def guarded_stores(
    settings: Settings, alarms: AlarmBoard, metrics: Metrics, health: Health,
    *, strict: bool = False,
) -> GuardedStores:  # fmt: skip
    """Open all. `strict`: nothing counts as stored that is not on the second store, too, whatever
    the settings say."""
    clock = SystemClock()
    breakers = {
        target: _breaker(target, condition, settings, alarms, metrics, health)
        for target, condition in READY.items()
    }
    turn = Pace(breakers.values(), clock=clock).turn
    archive = ResilientStore(archive_store(settings, turn), breakers["archive"], clock=clock)
    subjects = ResilientSubjectStore(
        subject_store(settings, turn), breakers["subjects"], clock=clock
    )
    if settings.archive_secondary is None:
        return GuardedStores(archive, subjects, breakers)
    strict = strict or settings.secondary_mode == "before"
    condition = SECOND_READY if strict else None
    breaker = _breaker(SECOND, condition, settings, alarms, metrics, health)
    turn = Pace([breaker], clock=clock).turn  # its outage slows nothing else down
    second = ResilientStore(second_store(settings, turn), breaker, clock=clock)
    both = mirrored(settings, archive, second, tell_diverged(alarms, metrics), strict=strict)
    measure(both, metrics)
    metrics.secondary_lag_bound_seconds.set(settings.secondary_lag_seconds)
    return GuardedStores(both, subjects, breakers, breaker)


def _breaker(
    target: str, condition: str | None, settings: Settings, alarms: AlarmBoard, metrics: Metrics,
    health: Health,
) -> CircuitBreaker:  # fmt: skip
    policy = BreakerPolicy(
        max_failures=settings.breaker_attempts, first_delay=settings.breaker_probe_seconds
    )
    breaker = CircuitBreaker(target, clock=SystemClock(), alerts=alarms, policy=policy)
    tell_breaker(breaker, metrics, health, condition)
    return breaker

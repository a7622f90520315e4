"""The second store of an installation: the archive's objects go there, too."""

from __future__ import annotations

from collections.abc import Callable

from audit_stream.archive.order import ArchiveOrder
from audit_stream.ports import Alerts, WormStore
from audit_stream.settings import Settings
from audit_stream.stores.backlog import Bound
from audit_stream.stores.clock import SystemClock
from audit_stream.stores.copying import Told
from audit_stream.stores.mirrored import MirroredStore, Mirroring
from audit_stream.stores.open import open_store
from audit_stream.stores.retry import ResilientStore
from audit_stream.stores.target import Turn, at_once
from audit_stream.telemetry.metrics import Metrics

#: The target of its breaker.
SECOND = "secondary"


def second_store(settings: Settings, turn: Turn = at_once, *, read_only: bool = False) -> WormStore:
    """The second store alone, without retries and breaker. The settings must name one."""
    assert settings.archive_secondary is not None
    access = settings.store_access("secondary", turn=turn)
    return open_store(settings.archive_secondary, access, read_only=read_only)


def mirrored(
    settings: Settings, primary: ResilientStore, secondary: ResilientStore, told: Told,
    *, strict: bool = False,
) -> MirroredStore:  # fmt: skip
    """Both as one; `strict`: `before`, whatever the settings say."""
    mode = Mirroring.BEFORE if strict else Mirroring(settings.secondary_mode)
    bound = Bound(seconds=settings.secondary_lag_seconds)
    return MirroredStore(
        primary, secondary, ArchiveOrder(), mode, bound, clock=SystemClock(), told=told
    )


def tell_diverged(alarms: Alerts, metrics: Metrics | None = None) -> Told:
    """Raises the alarm, and sets the metric."""

    def told(name: str, what: str) -> None:
        if metrics is not None:
            metrics.secondary_differing_objects.set(1)
        alarms.raise_alarm(f"secondary-diverged:{name}", f"{name} {what}")

    return told


def measure(store: MirroredStore, metrics: Metrics) -> None:
    """Serve how far the copies are behind, as it is when it is asked."""
    metrics.secondary_lag_seconds.set_function(lambda: store.backlog.lag)
    metrics.secondary_pending_objects.set_function(lambda: store.backlog.objects)


def holds_up(store: MirroredStore, is_open: Callable[[], bool]) -> bool:
    """Whether a second store whose breaker is open keeps the first one from storing."""
    return is_open() and (store.is_strict or store.backlog.is_full)

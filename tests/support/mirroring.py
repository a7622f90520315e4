"""Two stores as one, in memory, and what the second one is told to do wrong."""

from __future__ import annotations

from audit_stream.archive.order import ArchiveOrder
from audit_stream.evidence.layout import SegmentName
from audit_stream.ports import WormStore
from audit_stream.stores.backlog import Bound
from audit_stream.stores.breaker import CircuitBreaker
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.mirrored import MirroredStore, Mirroring
from audit_stream.stores.retry import ResilientStore
from tests.support.alerts import RecordedAlerts
from tests.support.clock import FakeClock


def segment(base: int, partition: int = 0) -> str:
    """A segment's name."""
    return str(SegmentName("t", 1, partition, base))


def resilient(store: WormStore, clock: FakeClock, target: str = "archive") -> ResilientStore:
    breaker = CircuitBreaker(target, clock=clock, alerts=RecordedAlerts())
    return ResilientStore(store, breaker, clock=clock)


class Pair:
    """Two stores; `open` is a process that writes to both, after the one before was killed."""

    def __init__(self, mode: Mirroring, bound: Bound | None = None) -> None:
        self.mode, self.bound = mode, bound or Bound(seconds=60.0)
        self.clock = FakeClock()
        self.primary, self.secondary = MemoryWormStore(), MemoryWormStore()
        self.diverged: list[str] = []

    def open(self, *, drain_seconds: float = 5.0) -> MirroredStore:
        clock = self.clock
        return MirroredStore(
            resilient(self.primary, clock), resilient(self.secondary, clock, "secondary"),
            ArchiveOrder(), self.mode, self.bound, clock=clock,
            told=lambda name, what: self.diverged.append(f"{name} {what}"),
            drain_seconds=drain_seconds,
        )  # fmt: skip

    async def left_on_primary(self, *names: str) -> None:
        """What a writer put that was killed before it copied."""
        for name in names:
            await self.primary.put_if_absent(name, name.encode(), {})

    @property
    def copied(self) -> list[str]:
        """What stands on the second store."""
        return sorted(self.secondary.objects)

"""How long and how hard."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The defaults are the long form's."""

    minutes: float = 60.0
    rate: int = 3_000  # events a second
    fill: int = 9_000_000  # events that are sent before, at once: until whatever is bounded is full
    asks: float = 2.0  # requests a second to the gateway
    every: float = 10.0  # seconds between two samples
    partitions: int = 4
    segment_records: int = 10_000
    segment_seconds: float = 30.0
    gateway_bytes: int = 4 << 20  # of segments it remembers: full behind the warm-up, too
    log_seconds: float = 60.0  # between two batches of the archive log
    seed: int = 1
    tampering: tuple[str, ...] = ()  # of the first worker: see `tests.support.bad_worker`

    @property
    def seconds(self) -> float:
        """How long events are sent."""
        return self.minutes * 60

    @property
    def events(self) -> int:
        """How many, those to fill the caches included."""
        return self.fill + round(self.rate * self.seconds)

    @property
    def asked_after(self) -> float:
        """Seconds behind an event after which the gateway has to know it."""
        return 2 * (self.segment_seconds + self.log_seconds) + 5

"""The circuit breaker: when not to ask a store that fails, and how to find out it is back.

`BreakerRules` is the state machine, without time, waiting or chance of its own; `CircuitBreaker`
adds those, and tells listeners and operations.

    closed     attempts pass; more than `max_failures` failed in a row → open
    open       none passes until the delay is over; the first one after it → half-open
    half-open  one attempt, the probe, is under way: it succeeds → closed; it fails → open, delay
               doubled
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from audit_stream.errors import StoreError, StoreTransient
from audit_stream.ports import Alerts, Clock

log = logging.getLogger(__name__)


class BreakerState(Enum):
    """See the module."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """Durations in seconds."""

    max_failures: int = 5  # in a row; one more opens
    first_delay: float = 5.0
    max_delay: float = 300.0
    jitter: float = 0.1  # at most this share is added to a delay
    #: Of many attempts side by side, those begun before the last failure counted are the same
    #: failure: one connection that breaks off is not five in a row.
    bursts: bool = False


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one attempt, to be given back with its outcome. `epoch` counts the openings,
    `failures` those in a row when it began."""

    epoch: int
    failures: int = 0


class BreakerRules:
    """The state machine. `now` is monotonic seconds, `chance` uniform in [0, 1).

    Outcomes of attempts begun before the last opening change nothing: they are old news.
    """

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._epoch = 0
        self._failures = 0
        self._openings = 0  # since it was last closed
        self.state = BreakerState.CLOSED
        self.due = 0.0  # when the next probe may start, if not closed
        self.probing = False  # whether it is under way

    def admit(self, now: float) -> Permit | None:
        """Leave to attempt, or None."""
        if self.state is BreakerState.CLOSED:
            return Permit(self._epoch, self._failures)
        if self.probing or now < self.due:
            return None
        self.state = BreakerState.HALF_OPEN
        self.probing = True
        return Permit(self._epoch)

    def succeed(self, permit: Permit) -> None:
        """The attempt went through."""
        if permit.epoch != self._epoch:
            return
        self.state = BreakerState.CLOSED
        self.probing = False
        self._failures = self._openings = 0

    def fail(
        self,
        permit: Permit,
        now: float,
        chance: float,
        *,
        refused: bool = False,
        retry_after: float = 0.0,
    ) -> None:
        """The attempt failed. `refused`: repeating it cannot help, so open at once."""
        if permit.epoch != self._epoch:
            return
        closed = self.state is BreakerState.CLOSED
        burst = self._policy.bursts and permit.failures < self._failures
        if closed and burst and not refused:
            return
        self._failures += 1
        if closed and not refused and self._failures <= self._policy.max_failures:
            return
        self._open(now, chance, retry_after)

    def abandon(self, permit: Permit) -> None:
        """The attempt was given up without an outcome; another may probe in its place."""
        if permit.epoch == self._epoch:
            self.probing = False

    def _open(self, now: float, chance: float, retry_after: float) -> None:
        policy = self._policy
        delay = min(policy.max_delay, policy.first_delay * 2.0 ** min(self._openings, 30))
        asked = min(retry_after, policy.max_delay)
        self.due = now + max(delay * (1 + policy.jitter * chance), asked)
        self.state = BreakerState.OPEN
        self._epoch += 1
        self._openings += 1
        self._failures = 0
        self.probing = False


OnChange = Callable[[BreakerState, BreakerState, str], None]


class CircuitBreaker:
    """One per target. Belongs to one event loop; `state` may be read from any thread.

    The alarm ``breaker:<target>`` is raised once when it opens and closed once when it closes,
    however many probes fail in between.
    """

    def __init__(
        self,
        target: str,
        *,
        clock: Clock,
        alerts: Alerts,
        policy: BreakerPolicy | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.target = target
        self._clock = clock
        self._alerts = alerts
        self._chance = chance
        self._policy = policy or BreakerPolicy()
        self._rules = BreakerRules(self._policy)
        self._listeners: list[OnChange] = []
        self._news = asyncio.Event()  # set, and replaced, whenever a waiter should look again
        self.waiting = 0  # calls of `acquire` under way

    @property
    def state(self) -> BreakerState:
        """The state now."""
        return self._rules.state

    @property
    def is_closed(self) -> bool:
        """Whether attempts pass."""
        return self._rules.state is BreakerState.CLOSED

    @property
    def max_delay(self) -> float:
        """Seconds: whatever the target asks for, it is tried again after so long (jitter aside)."""
        return self._policy.max_delay

    def add_listener(self, on_change: OnChange) -> None:
        """Call ``on_change(old, new, reason)`` at every change of state. It must not block."""
        self._listeners.append(on_change)

    async def acquire(self, *, until: float | None = None) -> Permit:
        """Wait for leave to attempt. Give it back with `succeeded`, `failed` or `abandon`.

        `StoreTransient` as soon as it cannot be had before `until` (seconds of the clock).
        """
        self.waiting += 1
        try:
            while (permit := self.try_acquire()) is None:
                await self._wait(until)
            return permit
        finally:
            self.waiting -= 1

    def may_pass_by(self, until: float) -> bool:
        """Whether waiting for leave until then (seconds of the clock) has a chance."""
        if self.is_closed:
            return True
        in_time = self._rules.probing or self._rules.due <= until
        return in_time and self._clock.monotonic() < until

    def try_acquire(self) -> Permit | None:
        """Leave to attempt if it can be had now."""
        with self._change("the delay is over, probing"):
            return self._rules.admit(self._clock.monotonic())

    def succeeded(self, permit: Permit) -> None:
        """The attempt went through."""
        with self._change("the probe went through"):
            self._rules.succeed(permit)

    def failed(self, permit: Permit, error: StoreError, *, refused: bool = False) -> None:
        """The attempt failed. `refused`: opens at once."""
        retry_after = error.retry_after if isinstance(error, StoreTransient) else None
        with self._change(str(error)):
            self._rules.fail(
                permit,
                self._clock.monotonic(),
                self._chance(),
                refused=refused,
                retry_after=retry_after or 0.0,
            )

    def abandon(self, permit: Permit) -> None:
        """The attempt was given up without an outcome."""
        self._rules.abandon(permit)
        self._wake()  # no change of state, but the place of the probe is free

    async def wait_closed(self) -> None:
        """Return once attempts pass."""
        while not self.is_closed:
            await self._news.wait()

    async def wait_due(self) -> None:
        """Return when a probe could start, or the one under way has ended."""
        await self._wait(None)

    async def _wait(self, until: float | None) -> None:
        now = self._clock.monotonic()
        if until is not None and not self.may_pass_by(until):
            raise StoreTransient(f"{self.target} is failing: its circuit breaker is open")
        if not self._rules.probing:  # nothing but a probe ends this state
            await self._clock.sleep(self._rules.due - now)
        elif until is None:
            await self._news.wait()
        else:
            await self._wait_for_news(until - now)

    async def _wait_for_news(self, seconds: float) -> None:
        waits = (
            asyncio.ensure_future(self._news.wait()),
            asyncio.ensure_future(self._clock.sleep(seconds)),
        )
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    @contextlib.contextmanager
    def _change(self, reason: str) -> Iterator[None]:
        """Tell everyone what the block did to the state."""
        old = self.state
        yield
        if (new := self.state) is not old:
            self._wake()
            self._alert(old, new, reason)
            self._tell(old, new, reason)

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _alert(self, old: BreakerState, new: BreakerState, reason: str) -> None:
        key = f"breaker:{self.target}"
        if old is BreakerState.CLOSED:
            self._alerts.raise_alarm(key, f"{self.target} is failing, writing waits: {reason}")
        elif new is BreakerState.CLOSED:
            self._alerts.close_alarm(key, f"{self.target} works again")

    def _tell(self, old: BreakerState, new: BreakerState, reason: str) -> None:
        for on_change in self._listeners:
            try:
                on_change(old, new, reason)
            except Exception:  # a listener's fault must not become the outcome of a put
                log.exception("a listener of the breaker of %s failed", self.target)

"""Attempts on one target: when to try again, and what each tells the circuit breaker.

Delays are 2, 4 and 8 seconds, the last one kept; from the opening of the breaker on its probe says
when. An attempt that goes through, or is the caller's own mistake, says nothing bad of the target.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_never

from audit_stream.errors import StoreError, StoreRefused, StoreTransient
from audit_stream.ports import Clock
from audit_stream.stores.breaker import BreakerState, CircuitBreaker, Permit

R = TypeVar("R")
Call = Callable[[], Awaitable[R]]

# Once for all: each is a cycle, which stays until the collector comes by.
_FAILED = retry_if_exception_type(StoreError)
_MAY_PASS = retry_if_exception_type(StoreTransient)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Durations in seconds."""

    delays: Sequence[float] = (2.0, 4.0, 8.0)  # the last one is kept
    jitter: float = 0.1  # at most this share is added to a delay
    read_limit: float = 30.0  # no attempt of a read begins later than that after the call


class Attempts:
    """Everything that is asked of one target goes through here.

    While the breaker is open and no call waits for it, `probe` is what asks whether it is back.
    """

    def __init__(
        self, breaker: CircuitBreaker, probe: Call[object], *, clock: Clock,
        policy: RetryPolicy | None = None, chance: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self._breaker = breaker
        self._probe = probe
        self._clock = clock
        self._policy = policy or RetryPolicy()
        self._chance = chance
        self._prober: asyncio.Task[None] | None = None
        self._closed = False
        self.patient = False  # reads wait as writes do, for rights to be given back, too
        self.brief = False  # writes end as reads do: somebody waits for the answer
        breaker.add_listener(self._on_change)

    def close(self) -> None:
        """Probe no more. Calls that wait are for their owners to cancel."""
        self._closed = True
        if self._prober is not None:
            self._prober.cancel()

    async def write(self, call: Call[R]) -> R:
        """Try for as long as it fails, or as a read if `brief`."""
        return await (self.read(call) if self.brief else self.until_done(call))

    async def until_done(self, call: Call[R]) -> R:
        """Try for as long as it fails."""

        async def attempt() -> R:
            permit = await self._breaker.acquire()
            with self._counted(permit):
                return await call()

        retrying = AsyncRetrying(
            sleep=self._clock.sleep,
            wait=self._delay,
            stop=stop_never,
            retry=_FAILED,
        )
        return await _carried_out(retrying, attempt)

    async def read(self, call: Call[R], *, opens: bool = True) -> R:
        """Try within the time limit of reads, or for as long as it fails if `patient`.

        `opens`: whether a refusal says something of the target, or only of what was asked of it
        (a writer need not have the right to set holds).
        """
        if self.patient and opens:
            return await self.until_done(call)
        deadline = self._clock.monotonic() + self._policy.read_limit

        async def attempt() -> R:
            permit = await self._breaker.acquire(until=deadline)
            with self._counted(permit, opens=opens):
                return await call()

        retrying = AsyncRetrying(
            sleep=self._clock.sleep,
            wait=self._delay,
            stop=lambda state: self._too_late(state, deadline),
            retry=_MAY_PASS,
            reraise=True,
        )
        return await _carried_out(retrying, attempt)

    @contextlib.contextmanager
    def _counted(self, permit: Permit, *, opens: bool = True) -> Iterator[None]:
        """Tell the breaker how the block ends."""
        try:
            yield
        except StoreRefused as error:
            if opens:
                self._breaker.failed(permit, error, refused=True)
            else:
                self._breaker.succeeded(permit)  # it answered
            raise
        except StoreError as error:
            self._breaker.failed(permit, error)
            raise
        except BaseException:  # cancelled, or a bug: says nothing of the target
            self._breaker.abandon(permit)
            raise
        self._breaker.succeeded(permit)

    def _delay(self, state: RetryCallState) -> float:
        """Seconds to the next attempt; none if the breaker makes it wait anyway."""
        if not self._breaker.is_closed:
            return 0.0
        delays = self._policy.delays
        delay = delays[min(state.attempt_number, len(delays)) - 1]
        delay *= 1 + self._policy.jitter * self._chance()
        error = state.outcome.exception() if state.outcome else None
        retry_after = error.retry_after if isinstance(error, StoreTransient) else None
        return max(delay, min(retry_after or 0.0, self._breaker.max_delay))

    def _too_late(self, state: RetryCallState, deadline: float) -> bool:
        """Whether the next attempt could not begin in time."""
        next_attempt = self._clock.monotonic() + state.upcoming_sleep
        return next_attempt > deadline or not self._breaker.may_pass_by(deadline)

    def _on_change(self, old: BreakerState, new: BreakerState, reason: str) -> None:
        idle = self._prober is None or self._prober.done()
        if new is BreakerState.OPEN and idle and not self._closed:
            self._prober = asyncio.ensure_future(self._ask())

    async def _ask(self) -> None:
        """Probe for as long as nobody else does: a paused pipeline has nothing to put.

        A waiting write is the better probe, for a store can be readable and not writable.
        """
        while True:
            await self._breaker.wait_due()
            if self._breaker.is_closed:
                return
            if self._breaker.waiting or (permit := self._breaker.try_acquire()) is None:
                continue
            with contextlib.suppress(StoreError), self._counted(permit):
                await self._probe()


async def _carried_out(retrying: AsyncRetrying, attempt: Call[R]) -> R:
    try:
        result: R = await retrying(attempt)
        return result
    finally:
        # Its steps hold the result, and it holds its steps: a segment's bytes would stay until the
        # collector of cycles comes by, hours later.
        retrying.iter_state.reset()

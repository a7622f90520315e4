"""A store that keeps trying: retries and circuit breaker around any write-once store.

A put is never skipped and never fails for what may pass: it starts again with the same bytes,
first after 2, 4 and 8 seconds, and from the opening of the breaker on whenever its probe is due.
That also settles an ambiguous put, one whose answer was lost. Reads give up after a time limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_never

from audit_stream.errors import StoreError, StoreRefused, StoreTransient
from audit_stream.ports import Clock, Posture, PutResult, WormStore
from audit_stream.stores.breaker import BreakerState, CircuitBreaker, Permit
from audit_stream.stores.names import check_body, check_name, check_prefix

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Durations in seconds."""

    delays: Sequence[float] = (2.0, 4.0, 8.0)  # the last one is kept
    jitter: float = 0.1  # at most this share is added to a delay
    read_limit: float = 30.0  # no attempt of a read begins later than that after the call


class ResilientStore:
    """`ports.WormStore` around another one; every attempt counts with the breaker.

    `put_if_absent` returns only when the object stands. A refusal opens the breaker at once, which
    is the alarm, and is then tried again like the rest: credentials get mended. Only what is wrong
    with the call itself (a bad name, an empty body) is raised.
    While the breaker is open and no call waits for it, the store is probed by a small read.
    """

    def __init__(
        self,
        inner: WormStore,
        breaker: CircuitBreaker,
        *,
        clock: Clock,
        policy: RetryPolicy | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._inner = inner
        self._breaker = breaker
        self._clock = clock
        self._policy = policy or RetryPolicy()
        self._chance = chance
        self._prober: asyncio.Task[None] | None = None
        self._closed = False
        breaker.add_listener(self._on_change)

    @property
    def url(self) -> str:
        """Of the store inside."""
        return self._inner.url

    async def put_if_absent(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        """See `ports.WormStore`; waits for as long as the store fails."""
        check_name(name)
        check_body(name, data)

        async def attempt() -> PutResult:
            permit = await self._breaker.acquire()
            with self._counted(permit):
                return await self._inner.put_if_absent(name, data, metadata)

        retrying = AsyncRetrying(
            sleep=self._clock.sleep,
            wait=self._delay,
            stop=stop_never,
            retry=retry_if_exception_type(StoreError),
        )
        result: PutResult = await retrying(attempt)
        return result

    async def get(self, name: str) -> bytes | None:
        """See `ports.WormStore`; `StoreTransient` after the time limit."""
        check_name(name)
        return await self._read(lambda: self._inner.get(name))

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.WormStore`; `StoreTransient` after the time limit."""
        check_prefix(prefix)
        return await self._read(lambda: self._inner.names(prefix, after=after, limit=limit))

    async def extend_retention(self, name: str, until_ms: int) -> None:
        """See `ports.WormStore`; `StoreTransient` after the time limit."""
        check_name(name)
        await self._read(lambda: self._inner.extend_retention(name, until_ms), opens=False)

    async def set_hold(self, name: str, held: bool) -> None:
        """See `ports.WormStore`; `StoreTransient` after the time limit."""
        check_name(name)
        await self._read(lambda: self._inner.set_hold(name, held), opens=False)

    async def posture(self) -> Posture:
        """See `ports.WormStore`; `StoreTransient` after the time limit."""
        return await self._read(self._inner.posture, opens=False)

    async def close(self) -> None:
        """See `ports.WormStore`. Puts that wait are for their owners to cancel."""
        self._closed = True
        if self._prober is not None:
            self._prober.cancel()
        await self._inner.close()

    async def _read(self, call: Callable[[], Awaitable[R]], *, opens: bool = True) -> R:
        """Retry `call`, which may be repeated freely, within the time limit.

        `opens`: whether a refusal says something of the store, or only of what was asked of it
        (a writer need not have the right to set holds).
        """
        deadline = self._clock.monotonic() + self._policy.read_limit

        async def attempt() -> R:
            permit = await self._breaker.acquire(until=deadline)
            with self._counted(permit, opens=opens):
                return await call()

        retrying = AsyncRetrying(
            sleep=self._clock.sleep,
            wait=self._delay,
            stop=lambda state: self._too_late(state, deadline),
            retry=retry_if_exception_type(StoreTransient),
            reraise=True,
        )
        result: R = await retrying(attempt)
        return result

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
        except BaseException:  # cancelled, or a bug: says nothing of the store
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
        return max(delay, retry_after or 0.0)

    def _too_late(self, state: RetryCallState, deadline: float) -> bool:
        """Whether the next attempt could not begin in time."""
        next_attempt = self._clock.monotonic() + state.upcoming_sleep
        return next_attempt > deadline or not self._breaker.may_pass_by(deadline)

    def _on_change(self, old: BreakerState, new: BreakerState, reason: str) -> None:
        idle = self._prober is None or self._prober.done()
        if new is BreakerState.OPEN and idle and not self._closed:
            self._prober = asyncio.ensure_future(self._probe())

    async def _probe(self) -> None:
        """Probe for as long as nobody else does: a paused pipeline has nothing to put.

        A waiting put is the better probe, for a store can be readable and not writable.
        """
        while True:
            await self._breaker.wait_due()
            if self._breaker.is_closed:
                return
            if self._breaker.waiting or (permit := self._breaker.try_acquire()) is None:
                continue
            with contextlib.suppress(StoreError), self._counted(permit):
                await self._inner.names("", limit=1)

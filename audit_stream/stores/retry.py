"""Stores that keep trying: retries and circuit breaker around any store.

A write is never skipped and never fails for what may pass: it starts again with the same bytes.
That also settles an ambiguous one, whose answer was lost. Reads give up after a time limit, until
`be_patient`; after `be_brief` writes do, too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from audit_stream.ports import Clock, HoldLevel, PutResult, SubjectStore, Versioned, WormStore
from audit_stream.posture import Finding, Posture
from audit_stream.stores.attempts import Attempts, RetryPolicy
from audit_stream.stores.breaker import CircuitBreaker
from audit_stream.stores.names import check_body, check_name, check_prefix

S = TypeVar("S", bound=WormStore | SubjectStore)


class _Resilient(Generic[S]):
    """A store, what may be asked of every one of them, and its attempts."""

    def __init__(
        self,
        inner: S,
        breaker: CircuitBreaker,
        *,
        clock: Clock,
        policy: RetryPolicy | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._inner = inner
        self.breaker = breaker
        self._attempts = Attempts(
            breaker, lambda: inner.names("", limit=1), clock=clock, policy=policy, chance=chance
        )

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See the port; `StoreTransient` after the time limit."""
        check_prefix(prefix)
        return await self._attempts.read(
            lambda: self._inner.names(prefix, after=after, limit=limit)
        )

    def be_patient(self) -> None:
        """From now on reads wait, too: a worker that has started outlasts its store's outages."""
        self._attempts.patient = True

    def be_brief(self) -> None:
        """From now on writes end as reads do, refused or after the time limit: for a command, which
        has somebody to tell, and may hold a lock."""
        self._attempts.brief = True

    async def close(self) -> None:
        """See the port. Writes that wait are for their owners to cancel."""
        self._attempts.close()
        await self._inner.close()


class ResilientStore(_Resilient[WormStore]):
    """`ports.WormStore` around another one; every attempt counts with the breaker.

    `put_if_absent` returns only when the object stands. A refusal opens the breaker at once, which
    is the alarm, and is then tried again like the rest: credentials get mended. Only what is wrong
    with the call itself (a bad name, an empty body) is raised.
    """

    @property
    def url(self) -> str:
        """Of the store inside."""
        return self._inner.url

    async def put_if_absent(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        """See `ports.WormStore`; waits for as long as the store fails, unless brief."""
        check_name(name)
        check_body(name, data)
        return await self._attempts.write(lambda: self._inner.put_if_absent(name, data, metadata))

    async def get(self, name: str) -> bytes | None:
        """See `ports.WormStore`; `StoreTransient` after the time limit."""
        check_name(name)
        return await self._attempts.read(lambda: self._inner.get(name))

    async def extend_retention(self, name: str, until_ms: int) -> None:
        """See `ports.WormStore`; `StoreTransient` after the time limit."""
        check_name(name)
        await self._attempts.read(lambda: self._inner.extend_retention(name, until_ms), opens=False)

    async def set_hold(self, name: str, held: bool) -> None:
        """See `ports.WormStore`; `StoreTransient` after the time limit."""
        check_name(name)
        await self._attempts.read(lambda: self._inner.set_hold(name, held), opens=False)

    async def held(self, name: str) -> bool | None:
        """See `ports.WormStore`; `StoreTransient` after the time limit."""
        check_name(name)
        return await self._attempts.read(lambda: self._inner.held(name), opens=False)

    async def hold_level(self) -> HoldLevel:
        """See `ports.WormStore`; `StoreTransient` after the time limit."""
        return await self._attempts.read(self._inner.hold_level, opens=False)

    async def posture(self) -> Posture:
        """See `ports.WormStore`; `StoreTransient` after the time limit."""
        return await self._attempts.read(self._inner.posture, opens=False)


class ResilientSubjectStore(_Resilient[SubjectStore]):
    """`ports.SubjectStore` around another one, in the same way.

    A write that is tried again may meet its own first attempt, and is then told False: whoever
    needs to know whose bytes stand reads them.
    """

    async def create(self, name: str, data: bytes) -> bool:
        """See `ports.SubjectStore`; waits for as long as the store fails, unless brief."""
        check_name(name)
        check_body(name, data)
        return await self._attempts.write(lambda: self._inner.create(name, data))

    async def get(self, name: str) -> Versioned | None:
        """See `ports.SubjectStore`; `StoreTransient` after the time limit."""
        check_name(name)
        return await self._attempts.read(lambda: self._inner.get(name))

    async def replace(self, name: str, data: bytes, etag: str) -> bool:
        """See `ports.SubjectStore`; waits for as long as the store fails, unless brief."""
        check_name(name)
        check_body(name, data)
        return await self._attempts.write(lambda: self._inner.replace(name, data, etag))

    async def remove(self, name: str, etag: str) -> bool:
        """See `ports.SubjectStore`; waits for as long as the store fails, unless brief."""
        check_name(name)
        return await self._attempts.write(lambda: self._inner.remove(name, etag))

    async def findings(self) -> Sequence[Finding]:
        """See `ports.SubjectStore`; `StoreTransient` after the time limit."""
        return await self._attempts.read(self._inner.findings, opens=False)

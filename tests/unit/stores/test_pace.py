"""While a target fails, its worker's requests leave one by one."""

from __future__ import annotations

import asyncio

import pytest

from audit_stream.errors import StoreTransient
from audit_stream.stores.breaker import CircuitBreaker
from audit_stream.stores.pace import Pace
from tests.campaigns.broken import most_in_a_second
from tests.support.alerts import RecordedAlerts
from tests.support.clock import FakeClock, settle

ERROR = StoreTransient("no answer")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def breakers(clock: FakeClock) -> list[CircuitBreaker]:
    alerts = RecordedAlerts()
    return [CircuitBreaker(each, clock=clock, alerts=alerts) for each in ("archive", "subjects")]


class Requests:
    """Requests that leave when it is their turn."""

    def __init__(self, pace: Pace, clock: FakeClock) -> None:
        self._pace, self._clock = pace, clock
        self.left: list[float] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, count: int) -> None:
        self.tasks += [asyncio.create_task(self._one()) for _ in range(count)]
        await settle()

    async def _one(self) -> None:
        await self._pace.turn()
        self.left.append(self._clock.now)


async def fail(breaker: CircuitBreaker) -> None:
    breaker.failed(await breaker.acquire(), ERROR, refused=True)


async def test_none_waits_while_all_targets_work(
    breakers: list[CircuitBreaker], clock: FakeClock
) -> None:
    requests = Requests(Pace(breakers, clock=clock), clock)
    await requests.ask(20)
    assert requests.left == [0.0] * 20


async def test_at_most_two_leave_in_any_second_whichever_target_fails(
    breakers: list[CircuitBreaker], clock: FakeClock
) -> None:
    requests = Requests(Pace(breakers, clock=clock), clock)
    for breaker in breakers:
        await fail(breaker)
    await requests.ask(9)
    await clock.advance(10)
    assert len(requests.left) == 9
    assert requests.left[0] >= 1.0  # what was sent just before the opening is not added to
    assert most_in_a_second(requests.left) == 2


async def test_those_that_wait_go_on_together_when_all_targets_work_again(
    breakers: list[CircuitBreaker], clock: FakeClock
) -> None:
    requests = Requests(Pace(breakers, clock=clock), clock)
    await fail(breakers[0])
    await clock.advance(5.6)
    await requests.ask(9)
    assert len(requests.left) == 1
    permit = await breakers[0].acquire()
    breakers[0].succeeded(permit)
    await clock.advance(0.7)
    assert len(requests.left) == 9

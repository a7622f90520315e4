"""The breaker at work: who waits for whom, who is told, one alarm an outage."""

from __future__ import annotations

import asyncio

import pytest

from audit_stream.errors import StoreTransient
from audit_stream.stores.breaker import BreakerState, CircuitBreaker
from tests.support.alerts import RecordedAlerts
from tests.support.clock import FakeClock, settle

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
ERROR = StoreTransient("storing a/b: no answer", hint="look at the disk")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def alerts() -> RecordedAlerts:
    return RecordedAlerts()


@pytest.fixture
def breaker(clock: FakeClock, alerts: RecordedAlerts) -> CircuitBreaker:
    return CircuitBreaker("archive", clock=clock, alerts=alerts, chance=lambda: 0.0)


async def open_it(breaker: CircuitBreaker) -> None:
    while breaker.is_closed:
        breaker.failed(await breaker.acquire(), ERROR)


async def test_when_the_store_returns_one_probes_and_the_others_wait(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    await open_it(breaker)
    under_way, most = 0, 0
    outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def attempt() -> None:
        nonlocal under_way, most
        permit = await breaker.acquire()
        under_way += 1
        most = max(most, under_way)
        await outcome
        breaker.succeeded(permit)

    attempts = [asyncio.create_task(attempt()) for _ in range(30)]
    await clock.advance(4.9)
    assert (breaker.state, most, breaker.waiting) == (OPEN, 0, 30)
    await clock.advance(600)
    assert (breaker.state, most, breaker.waiting) == (HALF_OPEN, 1, 29)
    outcome.set_result(None)
    await asyncio.gather(*attempts)
    assert (breaker.state, breaker.waiting) == (CLOSED, 0)


async def test_waiters_try_again_after_each_failed_probe(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    await open_it(breaker)
    probes: list[float] = []

    async def attempt() -> None:
        while True:
            permit = await breaker.acquire()
            probes.append(clock.now)
            if len(probes) == 4:
                breaker.succeeded(permit)
            if breaker.is_closed:
                return
            breaker.failed(permit, ERROR)

    attempts = [asyncio.create_task(attempt()) for _ in range(3)]
    await clock.advance(100)
    await asyncio.gather(*attempts)
    assert probes[:4] == [5, 15, 35, 75]


async def test_a_cancelled_probe_lets_a_waiter_probe(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    await open_it(breaker)
    first, second = (asyncio.create_task(breaker.acquire()) for _ in range(2))
    await clock.advance(5)
    assert first.done() and not second.done()  # noqa: PT018
    breaker.abandon(first.result())
    await settle()
    assert second.done()
    breaker.succeeded(second.result())
    assert breaker.is_closed


async def test_a_cancelled_waiter_leaves_no_trace(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    await open_it(breaker)
    waiter = asyncio.create_task(breaker.acquire())
    await settle()
    assert breaker.waiting == 1
    waiter.cancel()
    await settle()
    assert breaker.waiting == 0
    await clock.advance(5)
    assert breaker.try_acquire() is not None


async def test_waiting_in_vain_is_not_begun(breaker: CircuitBreaker, clock: FakeClock) -> None:
    await open_it(breaker)
    with pytest.raises(StoreTransient, match="breaker is open"):
        await breaker.acquire(until=4.9)
    assert clock.now == 0
    assert await clock.run(breaker.acquire(until=5.0)) is not None


async def test_waiting_for_anothers_probe_ends_with_the_time(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    await open_it(breaker)
    probe = await clock.run(breaker.acquire())
    with pytest.raises(StoreTransient, match="breaker is open"):
        await clock.run(breaker.acquire(until=20))
    assert clock.now == pytest.approx(20)
    breaker.succeeded(probe)
    assert await breaker.acquire(until=20) is not None


async def test_one_alarm_an_outage_however_many_probes_fail(
    breaker: CircuitBreaker, clock: FakeClock, alerts: RecordedAlerts
) -> None:
    outage = [("raise", "breaker:archive"), ("close", "breaker:archive")]
    for outages in range(2):
        await open_it(breaker)
        for _ in range(5):
            breaker.failed(await clock.run(breaker.acquire()), ERROR)
        assert alerts.events == [*outage * outages, outage[0]]
        breaker.succeeded(await clock.run(breaker.acquire()))
        assert alerts.events == outage * (outages + 1)
    assert "storing a/b: no answer" in alerts.summaries[0]


async def test_listeners_hear_of_every_change_and_why(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    heard: list[tuple[BreakerState, BreakerState, str]] = []
    breaker.add_listener(lambda old, new, reason: heard.append((old, new, reason)))
    await open_it(breaker)
    breaker.failed(await clock.run(breaker.acquire()), ERROR)
    breaker.succeeded(await clock.run(breaker.acquire()))
    assert [(old, new) for old, new, _ in heard] == [
        (CLOSED, OPEN),
        (OPEN, HALF_OPEN),
        (HALF_OPEN, OPEN),
        (OPEN, HALF_OPEN),
        (HALF_OPEN, CLOSED),
    ]
    assert heard[0][2] == str(ERROR)
    assert all(reason for _, _, reason in heard)


async def test_a_failing_listener_is_logged_and_harms_nobody(
    breaker: CircuitBreaker, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[BreakerState] = []

    def broken(old: BreakerState, new: BreakerState, reason: str) -> None:
        raise RuntimeError("broken listener")

    breaker.add_listener(broken)
    breaker.add_listener(lambda old, new, reason: heard.append(new))
    await open_it(breaker)
    assert heard == [OPEN]
    assert "broken listener" in caplog.text


async def test_wait_closed_waits_through_failed_probes(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    await asyncio.wait_for(breaker.wait_closed(), 1)
    await open_it(breaker)
    waiter = asyncio.create_task(breaker.wait_closed())
    breaker.failed(await clock.run(breaker.acquire()), ERROR)
    await clock.advance(100)
    assert not waiter.done()
    breaker.succeeded(await clock.run(breaker.acquire()))
    await settle()
    assert waiter.done()

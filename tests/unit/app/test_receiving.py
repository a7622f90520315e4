"""Who an erasure can tell, as the settings name it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from audit_stream.app.receiving import told_receivers
from audit_stream.delivery.patient import PatientDelivery
from audit_stream.errors import ConfigError, StoreRefused, StoreTransient
from audit_stream.ports import Receipt, Rejected
from audit_stream.settings import Settings
from audit_stream.stores.attempts import Attempts
from audit_stream.stores.breaker import CircuitBreaker
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support.clock import FakeClock
from tests.support.told import ToldReceiver, delivery_to, told_receiver


@pytest.fixture
def receiver() -> Iterator[ToldReceiver]:
    with told_receiver() as receiver:
        yield receiver


def settings(receiver: ToldReceiver, **more: object) -> Settings:
    return Settings.load(
        None, delivery_url=receiver.url, delivery_token="abc", delivery_synchronous=True, **more
    )


async def test_nobody_can_be_told_where_no_receiver_is_set() -> None:
    async with told_receivers(Settings.load()) as told:
        assert told == {}


async def test_notices_go_to_the_receiver_or_to_another_place_of_it(receiver: ToldReceiver) -> None:
    elsewhere = receiver.url.replace("notifications", "erasures")
    for number, url in enumerate((None, elsewhere)):
        async with told_receivers(settings(receiver, erasure_notice_url=url)) as told:
            assert list(told) == ["siem"]
            assert isinstance(await told["siem"].deliver(b"{}", str(number)), Receipt)
    assert receiver.paths == ["/api/v1/compliance/notifications", "/api/v1/compliance/erasures"]


async def test_the_token_goes_to_nobody_else(receiver: ToldReceiver) -> None:
    with pytest.raises(ConfigError, match="another origin"):
        async with told_receivers(settings(receiver, erasure_notice_url="https://x.example/")):
            pass
    with pytest.raises(ConfigError, match="AUDIT_ERASURE_NOTICE_URL"):
        settings(receiver, erasure_notice_url="erasures")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def tried(receiver: ToldReceiver, clock: FakeClock) -> Receipt | Rejected:
    alarms = AlarmBoard("x")
    breaker = CircuitBreaker("siem:siem", clock=clock, alerts=alarms)

    async def probe() -> None:
        raise StoreTransient("nothing to ask")

    attempts = Attempts(breaker, probe, clock=clock)
    async with delivery_to(receiver) as delivery:
        post = asyncio.create_task(PatientDelivery(delivery, attempts).deliver(b"{}", "k"))
        while not post.done():
            await asyncio.wait({post}, timeout=0.02)
            if (due := clock._next_due()) is not None:  # it waits for time, and not for an answer
                await clock.advance(due - clock.now)
        attempts.close()
        return await post


async def test_what_may_pass_is_tried_again_under_one_key(
    receiver: ToldReceiver, clock: FakeClock
) -> None:
    receiver.statuses = [503, 429]
    assert isinstance(await tried(receiver, clock), Receipt)
    assert [key for key, _ in receiver.posts] == ["k"] * 3


async def test_half_a_minute_long(receiver: ToldReceiver, clock: FakeClock) -> None:
    receiver.answer = lambda *_: (503, {}, b"")
    with pytest.raises(StoreTransient):
        await tried(receiver, clock)
    assert clock.monotonic() < 60


async def test_what_waiting_does_not_mend_is_tried_once(
    receiver: ToldReceiver, clock: FakeClock
) -> None:
    receiver.statuses = [401]
    with pytest.raises(StoreRefused):
        await tried(receiver, clock)
    receiver.statuses = [422]
    assert isinstance(await tried(receiver, clock), Rejected)
    assert len(receiver.posts) == 2

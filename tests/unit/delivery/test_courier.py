"""When posts leave: so many at once, a message's in order, again what failed, none while held."""

import asyncio
from dataclasses import replace

import pytest

from audit_stream.archive.chain import Found
from audit_stream.delivery.body import KeyForm
from audit_stream.delivery.courier import Courier
from audit_stream.delivery.fields import NoFields
from audit_stream.delivery.gate import Gate
from audit_stream.delivery.parcel import parcels
from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.evidence.layout import parse_segment_name
from audit_stream.evidence.segment import decode
from audit_stream.ports import Receipt, Rejected
from audit_stream.stores.attempts import Attempts
from audit_stream.stores.breaker import BreakerPolicy, BreakerState, CircuitBreaker
from tests.support.alerts import RecordedAlerts
from tests.support.clock import FakeClock, settle
from tests.support.resealed import MESSAGES, OBJECTS, name

STORED = Receipt(at="2026-11-26T00:00:00.000Z", said="HTTP 201")
_NAME = name(MESSAGES, 0)
_FOUND = Found(parse_segment_name(_NAME), decode(OBJECTS[_NAME], _NAME), ())
PARCELS = list(parcels(_FOUND, None, KeyForm.SOURCE))


class Script:
    """A receiver of the port that answers as it is told, in the clock's time."""

    target = "siem"

    def __init__(self, clock, answer):
        self.clock, self.answer = clock, answer
        self.posts, self.under_way, self.most = [], [], 0

    async def deliver(self, body, key):
        self.posts.append((self.clock.now, key))
        self.under_way.append(key)
        self.most = max(self.most, len(self.under_way))
        try:
            await self.clock.sleep(1)
            return self.answer(key, len(self.posts))
        finally:
            self.under_way.remove(key)


class Scene:
    def __init__(self, answer=lambda key, count: STORED, width=4):
        self.clock, self.alerts = FakeClock(), RecordedAlerts()
        self.script = Script(self.clock, answer)
        self.breaker = CircuitBreaker(
            "siem:siem", clock=self.clock, alerts=self.alerts, chance=lambda: 0.0,
            policy=BreakerPolicy(bursts=True),
        )  # fmt: skip
        self.attempts = Attempts(self.breaker, self._nobody, clock=self.clock, chance=lambda: 0.0)
        self.attempts.patient = True
        self.gate = Gate(self.clock)
        self.courier = Courier(
            self.script, self.attempts, self.gate, NoFields(), width, lambda: STORED.at
        )

    async def _nobody(self):
        raise StoreTransient("nobody asks")

    def post(self, count):
        return asyncio.gather(*[self.courier.post(each) for each in PARCELS[:count]])


def fails(times, error):
    left = dict.fromkeys((each.key for each in PARCELS), times)

    def answer(key, count):
        if left[key]:
            left[key] -= 1
            raise error
        return STORED

    return answer


async def test_so_many_at_once_and_no_more():
    scene = Scene(width=3)
    assert await scene.clock.run(scene.post(6)) == [None] * 6
    assert scene.script.most == 3
    assert scene.clock.now == 2


async def test_a_message_goes_out_in_order_whatever_fails():
    scene = Scene(fails(1, StoreTransient("no")), width=4)
    one = PARCELS[0]
    same = [replace(one, key=str(n)) for n in range(4)]
    scene.script.answer = lambda key, count: STORED if count % 2 == 0 else _raise("no")
    await scene.clock.run(asyncio.gather(*[scene.courier.post(each) for each in same]))
    assert [key for _, key in scene.script.posts] == ["0", "0", "1", "1", "2", "2", "3", "3"]


def _raise(said):
    raise StoreTransient(said)


async def test_a_failed_post_is_tried_after_two_four_and_eight_seconds():
    scene = Scene(fails(3, StoreTransient("no")), width=1)
    assert await scene.clock.run(scene.post(1)) == [None]
    assert [at for at, _ in scene.script.posts] == [0, 3, 8, 17]  # each takes a second
    assert len({key for _, key in scene.script.posts}) == 1


async def test_all_posts_wait_when_the_receiver_asks_for_time():
    limited = iter([True])

    def answer(key, count):
        if next(limited, False):
            raise StoreTransient("too fast", retry_after=60.0)
        return STORED

    scene = Scene(answer, width=2)
    await scene.clock.run(scene.post(5))
    assert [at for at, _ in scene.script.posts][:2] == [0, 0]
    assert all(at >= 61 for at, _ in scene.script.posts[2:])


async def test_many_that_break_off_together_are_one_failure():
    scene = Scene(fails(1, StoreTransient("reset")), width=8)
    await scene.clock.run(scene.post(8))
    assert scene.breaker.state is BreakerState.CLOSED
    assert scene.alerts.events == []


async def test_a_refusal_opens_the_breaker_at_once_and_is_outlasted():
    scene = Scene(fails(1, StoreRefused("401")), width=1)
    await scene.clock.run(scene.post(1))
    assert scene.alerts.events == [("raise", "breaker:siem:siem"), ("close", "breaker:siem:siem")]
    assert scene.clock.now >= 5


async def test_a_rejection_is_final_and_says_where():
    scene = Scene(lambda key, count: Rejected(status=422, answer="no"))
    (refused,) = await scene.clock.run(scene.post(1))
    assert (refused.key, refused.status, refused.answer) == (PARCELS[0].key, 422, "no")
    assert (refused.offset, refused.segment) == (PARCELS[0].offset, _NAME)
    assert len(scene.script.posts) == 1


async def test_without_patience_it_gives_up_and_the_post_is_not_taken_for_done():
    scene = Scene(fails(100, StoreTransient("no")))
    scene.attempts.patient = False
    with pytest.raises(StoreTransient):
        await scene.clock.run(scene.post(1))


async def test_keys_change_while_no_post_is_under_way():
    scene = Scene(width=2)
    posting = asyncio.ensure_future(scene.post(6))
    await scene.clock.advance(0.5)
    assert len(scene.script.under_way) == 2
    inside = asyncio.Event()

    async def change():
        async with scene.gate.closed():
            assert scene.script.under_way == []
            inside.set()
            await scene.clock.sleep(10)
            assert scene.script.under_way == []

    changing = asyncio.ensure_future(change())
    await scene.clock.advance(5)
    assert inside.is_set()
    assert len(scene.script.posts) == 2
    await scene.clock.run(asyncio.wait_for(asyncio.shield(changing), None))
    assert await scene.clock.run(asyncio.wait_for(asyncio.shield(posting), None)) == [None] * 6


async def test_a_gate_opens_when_everyone_has_reopened_it():
    gate = Gate(FakeClock())
    gate.shut("one")
    gate.shut("two")

    async def through():
        async with gate.passed():
            return gate.inside

    passing = asyncio.ensure_future(through())
    gate.reopen("one")
    await settle()
    assert not passing.done()
    gate.reopen("two")
    assert await passing == 1
    assert gate.inside == 0

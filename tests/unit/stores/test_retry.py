"""Retries: when, how often, until when; a put never fails for what may pass."""

from __future__ import annotations

import asyncio
import gc

import pytest
from tenacity import AsyncRetrying, retry_if_exception_type

from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.ports import PutResult, Versioned
from audit_stream.posture import Assurance
from audit_stream.stores.breaker import BreakerState, CircuitBreaker
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.memory_subjects import MemorySubjectStore
from audit_stream.stores.retry import ResilientStore, ResilientSubjectStore
from audit_stream.stores.subjects import entity_tag
from tests.support.alerts import RecordedAlerts
from tests.support.clock import FakeClock, settle


class TimedStore(MemoryWormStore):
    """Notes when each attempt of a put or a read begins."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self.times: list[float] = []
        self.broken: StoreTransient | StoreRefused | None = None

    async def _before(self) -> None:
        self.times.append(self._clock.now)
        if self.broken is not None:
            raise self.broken
        await super()._before()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def inner(clock: FakeClock) -> TimedStore:
    return TimedStore(clock)


@pytest.fixture
def alerts() -> RecordedAlerts:
    return RecordedAlerts()


@pytest.fixture
def breaker(clock: FakeClock, alerts: RecordedAlerts) -> CircuitBreaker:
    return CircuitBreaker("archive", clock=clock, alerts=alerts, chance=lambda: 0.0)


@pytest.fixture
def store(inner: TimedStore, breaker: CircuitBreaker, clock: FakeClock) -> ResilientStore:
    return ResilientStore(inner, breaker, clock=clock, chance=lambda: 0.0)


async def test_what_works_is_done_once(store: ResilientStore, inner: TimedStore) -> None:
    assert await store.put_if_absent("a", b"one", {"k": "v"}) is PutResult.STORED
    assert inner.objects["a"].metadata == {"k": "v"}
    assert await store.put_if_absent("a", b"two", {}) is PutResult.EXISTS
    assert await store.get("a") == b"one"
    assert await store.names("a") == ["a"]
    assert (await store.posture()).assurance is Assurance.WORM_LOCKED
    assert len(inner.times) == 5
    assert store.url == inner.url


async def test_what_was_read_is_let_go_of_at_once(
    store: ResilientStore, inner: TimedStore, clock: FakeClock
) -> None:
    """Not when the collector of cycles comes by: hours of segments would be in memory by then."""
    await store.put_if_absent("a", b"one", {})
    gc.collect()
    before = _count(AsyncRetrying, retry_if_exception_type)
    gc.disable()
    try:
        await store.get("a")
        await store.put_if_absent("b", b"two", {})
        assert _count(AsyncRetrying, retry_if_exception_type) == before
        inner.broken = StoreTransient("away")
        reading = asyncio.ensure_future(store.get("a"))
        await settle()
        inner.broken = None
        await clock.advance(2.0)
        assert await reading == b"one"
        del reading
        assert _count(AsyncRetrying, retry_if_exception_type) == before
    finally:
        gc.enable()


def _count(*kinds: type) -> int:
    return sum(isinstance(each, kinds) for each in gc.get_objects())


@pytest.mark.parametrize("failures", [1, 2, 3])
async def test_a_put_is_retried_after_2_4_and_8_seconds(
    store: ResilientStore, inner: TimedStore, clock: FakeClock, failures: int
) -> None:
    inner.fail_next(failures, False)
    assert await clock.run(store.put_if_absent("a", b"one", {})) is PutResult.STORED
    assert inner.times == [0.0, 2.0, 6.0, 14.0][: failures + 1]


async def test_delays_are_lengthened_by_chance(inner: TimedStore, clock: FakeClock) -> None:
    breaker = CircuitBreaker("archive", clock=clock, alerts=RecordedAlerts())
    store = ResilientStore(inner, breaker, clock=clock, chance=lambda: 1.0)
    inner.fail_next(1, False)
    await clock.run(store.put_if_absent("a", b"one", {}))
    assert inner.times == [0.0, pytest.approx(2.2)]


async def test_the_store_may_ask_for_more_time(
    store: ResilientStore, inner: TimedStore, clock: FakeClock
) -> None:
    inner.fail_next(1, False, StoreTransient("throttled", retry_after=30.0))
    inner.fail_next(1, False, StoreTransient("throttled", retry_after=1.0))
    await clock.run(store.put_if_absent("a", b"one", {}))
    assert inner.times == [0.0, 30.0, 34.0]


async def test_a_store_that_asks_for_a_day_is_asked_again_after_the_longest_delay(
    store: ResilientStore, inner: TimedStore, clock: FakeClock
) -> None:
    inner.fail_next(1, False, StoreTransient("throttled", retry_after=86_400.0))
    await clock.run(store.put_if_absent("a", b"one", {}))
    assert inner.times == [0.0, 300.0]


async def test_the_probe_waits_for_as_long_as_the_store_asked(
    store: ResilientStore, inner: TimedStore, clock: FakeClock
) -> None:
    inner.fail_next(5, False)
    inner.fail_next(1, False, StoreTransient("throttled", retry_after=90.0))
    await clock.run(store.put_if_absent("a", b"one", {}))
    assert inner.times[-1] - inner.times[-2] == 90.0


async def test_an_ambiguous_put_is_settled_by_the_same_bytes(
    store: ResilientStore, inner: TimedStore, clock: FakeClock
) -> None:
    inner.fail_next(2, True)
    assert await clock.run(store.put_if_absent("a", b"one", {})) is PutResult.STORED
    assert len(inner.times) == 3
    assert inner.objects["a"].data == b"one"


async def test_a_rival_that_wins_between_attempts_is_seen(
    store: ResilientStore, inner: TimedStore, clock: FakeClock
) -> None:
    inner.fail_next(1, False)
    put = asyncio.create_task(store.put_if_absent("a", b"one", {}))
    await settle()
    await inner.reopen().put_if_absent("a", b"rival", {})
    await clock.advance(2)
    assert await put is PutResult.EXISTS


async def test_a_put_outlasts_any_outage_and_the_sixth_failure_opens(
    store: ResilientStore,
    inner: TimedStore,
    clock: FakeClock,
    breaker: CircuitBreaker,
    alerts: RecordedAlerts,
) -> None:
    inner.outage = True
    put = asyncio.create_task(store.put_if_absent("a", b"one", {}))
    await clock.advance(29)
    assert breaker.is_closed
    assert inner.times == [0, 2, 6, 14, 22]
    await clock.advance(1)
    assert breaker.state is BreakerState.OPEN
    await clock.advance(3600)
    # The put itself is the probe, at doubling delays; nothing else bothers the store.
    assert inner.times[5:12] == [30, 35, 45, 65, 105, 185, 345]
    assert inner.times[12:14] == [645, 945]
    assert not put.done()
    assert alerts.events == [("raise", "breaker:archive")]
    inner.outage = False
    await clock.advance(300)
    assert await put is PutResult.STORED
    assert breaker.is_closed
    assert alerts.events == [("raise", "breaker:archive"), ("close", "breaker:archive")]


async def test_many_puts_do_not_storm_a_store_that_returns(
    store: ResilientStore, inner: TimedStore, clock: FakeClock, breaker: CircuitBreaker
) -> None:
    inner.outage = True
    puts = [asyncio.create_task(store.put_if_absent(f"t/{i}", b"x", {})) for i in range(20)]
    await clock.advance(1)
    begun = len(inner.times)
    await clock.advance(4.5)
    assert len(inner.times) == begun + 1
    inner.outage = False
    inner.gate = asyncio.Event()
    await clock.advance(3600)
    assert len(inner.times) == begun + 2  # one probe, however long it takes
    inner.gate.set()
    await asyncio.gather(*puts)
    assert len(inner.objects) == 20


async def test_a_refusal_opens_at_once_and_is_mended_while_the_put_waits(
    store: ResilientStore,
    inner: TimedStore,
    clock: FakeClock,
    breaker: CircuitBreaker,
    alerts: RecordedAlerts,
) -> None:
    inner.broken = StoreRefused("storing a: permission denied", hint="mend the credentials")
    put = asyncio.create_task(store.put_if_absent("a", b"one", {}))
    await settle()
    assert breaker.state is BreakerState.OPEN
    assert alerts.events == [("raise", "breaker:archive")]
    assert "permission denied" in alerts.summaries[0]
    await clock.advance(20)
    assert inner.times == [0, 5, 15]
    inner.broken = None
    await clock.advance(20)
    assert await put is PutResult.STORED


@pytest.mark.parametrize(("name", "data"), [("../a", b"x"), ("", b"x"), ("a", b"")])
async def test_a_wrong_call_is_raised_and_says_nothing_of_the_store(
    store: ResilientStore, breaker: CircuitBreaker, inner: TimedStore, name: str, data: bytes
) -> None:
    with pytest.raises(StoreRefused):
        await store.put_if_absent(name, data, {})
    assert breaker.is_closed
    assert inner.times == []


async def test_reads_are_retried_within_their_time_limit(
    store: ResilientStore, inner: TimedStore, clock: FakeClock
) -> None:
    inner.outage = True
    with pytest.raises(StoreTransient, match="outage"):
        await clock.run(store.get("a"))
    assert inner.times == [0, 2, 6, 14, 22, 30]
    assert clock.now == 30


async def test_a_read_does_not_wait_for_an_attempt_that_would_come_too_late(
    store: ResilientStore, inner: TimedStore, clock: FakeClock
) -> None:
    inner.broken = StoreTransient("throttled", retry_after=31.0)
    with pytest.raises(StoreTransient, match="throttled"):
        await clock.run(store.get("a"))
    assert clock.now == 0


async def test_a_read_goes_through_once_the_store_answers(
    store: ResilientStore, inner: TimedStore, clock: FakeClock
) -> None:
    await store.put_if_absent("a", b"one", {})
    inner.outage = True
    get, names = asyncio.create_task(store.get("a")), asyncio.create_task(store.names(""))
    await clock.advance(3)
    inner.outage = False
    await clock.advance(4)
    assert await get == b"one"
    assert await names == ["a"]


async def test_a_read_gives_up_at_once_if_the_breaker_outlasts_it(
    store: ResilientStore, inner: TimedStore, clock: FakeClock, breaker: CircuitBreaker
) -> None:
    inner.outage = True
    put = asyncio.create_task(store.put_if_absent("a", b"one", {}))
    await clock.advance(70)  # the next probe is 35 seconds away
    assert breaker.state is BreakerState.OPEN
    with pytest.raises(StoreTransient, match="breaker is open"):
        await clock.run(store.get("a"))
    assert clock.now == 70
    put.cancel()


async def test_a_refused_read_is_raised_at_once_and_opens(
    store: ResilientStore, inner: TimedStore, clock: FakeClock, breaker: CircuitBreaker
) -> None:
    inner.broken = StoreRefused("reading a: permission denied")
    with pytest.raises(StoreRefused):
        await store.get("a")
    assert breaker.state is BreakerState.OPEN
    assert clock.now == 0


async def test_what_the_store_does_not_offer_is_no_failure_of_it(
    store: ResilientStore, breaker: CircuitBreaker
) -> None:
    for _ in range(10):
        with pytest.raises(StoreRefused):
            await store.set_hold("missing", True)
        with pytest.raises(StoreRefused):
            await store.extend_retention("missing", 1)
    assert breaker.is_closed


async def test_without_anything_to_put_a_small_read_finds_the_store_back(
    store: ResilientStore, inner: TimedStore, clock: FakeClock, breaker: CircuitBreaker
) -> None:
    """A pipeline pauses while the breaker is open: nobody may be left to probe."""
    inner.broken = StoreRefused("reading a: permission denied")
    with pytest.raises(StoreRefused):
        await store.get("a")
    waiter = asyncio.create_task(breaker.wait_closed())
    await clock.advance(40)
    assert inner.times == [0, 5, 15, 35]
    assert not waiter.done()
    inner.broken = None
    await clock.advance(40)
    assert waiter.done()
    assert inner.times == [0, 5, 15, 35, 75]


@pytest.mark.parametrize("moment", ["attempt", "delay", "breaker", "probe"])
async def test_cancelling_ends_a_put_at_once_and_frees_the_probe(
    store: ResilientStore,
    inner: TimedStore,
    clock: FakeClock,
    breaker: CircuitBreaker,
    moment: str,
) -> None:
    inner.outage = moment in {"delay", "breaker"}
    inner.gate = asyncio.Event()
    if moment == "probe":
        breaker.failed(await breaker.acquire(), StoreTransient("x"), refused=True)
    put = asyncio.create_task(store.put_if_absent("a", b"one", {}))
    await clock.advance({"attempt": 0, "delay": 1, "breaker": 32, "probe": 6}[moment])
    states = {"breaker": BreakerState.OPEN, "probe": BreakerState.HALF_OPEN}
    assert breaker.state is states.get(moment, BreakerState.CLOSED)
    assert breaker.waiting == (moment == "breaker")
    before = clock.now
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    assert clock.now == before
    assert breaker.waiting == 0
    inner.outage = False
    inner.gate.set()
    assert await clock.run(store.put_if_absent("b", b"two", {})) is PutResult.STORED
    assert list(inner.objects) == ["b"]


async def test_a_bug_in_the_store_is_raised_and_counts_for_nothing(
    inner: TimedStore, breaker: CircuitBreaker, clock: FakeClock
) -> None:
    class Buggy(TimedStore):
        async def _before(self) -> None:
            raise ZeroDivisionError

    store = ResilientStore(Buggy(clock), breaker, clock=clock)
    for _ in range(10):
        with pytest.raises(ZeroDivisionError):
            await store.put_if_absent("a", b"one", {})
        with pytest.raises(ZeroDivisionError):
            await store.get("a")
    assert breaker.is_closed


async def test_closing_ends_the_probing(
    store: ResilientStore, inner: TimedStore, clock: FakeClock
) -> None:
    inner.broken = StoreRefused("reading a: permission denied")
    with pytest.raises(StoreRefused):
        await store.get("a")
    await store.close()
    await clock.advance(600)
    assert inner.times == [0]
    with pytest.raises(StoreRefused):
        await clock.run(store.get("a"))
    await settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("error", [StoreTransient("away"), StoreRefused("no rights")])
async def test_a_patient_store_outlasts_any_outage_with_its_reads_too(
    store: ResilientStore, inner: TimedStore, clock: FakeClock, error: StoreTransient | StoreRefused
) -> None:
    await store.put_if_absent("a", b"one", {})
    store.be_patient()
    inner.broken = error
    read = asyncio.create_task(store.get("a"))
    await clock.advance(3600)
    assert not read.done()
    inner.broken = None
    await clock.advance(400)
    assert await read == b"one"


async def test_a_brief_store_says_a_refusal_at_once_and_is_not_asked_again_for_it(
    store: ResilientStore, inner: TimedStore, clock: FakeClock, alerts: RecordedAlerts
) -> None:
    store.be_brief()
    inner.broken = StoreRefused("no rights")
    with pytest.raises(StoreRefused, match="no rights"):
        await store.put_if_absent("a", b"one", {})
    assert inner.times == [0]
    assert alerts.events == [("raise", "breaker:archive")]


async def test_a_brief_store_outlasts_what_passes_within_the_time_of_reads(
    store: ResilientStore, inner: TimedStore, clock: FakeClock
) -> None:
    store.be_brief()
    inner.broken = StoreTransient("away")
    put = asyncio.create_task(store.put_if_absent("a", b"one", {}))
    await clock.advance(10)
    assert not put.done()
    inner.broken = None
    await clock.advance(10)
    assert await put is PutResult.STORED
    inner.broken = StoreTransient("away")
    with pytest.raises(StoreTransient):
        await clock.run(store.put_if_absent("b", b"two", {}))


async def test_brief_subject_stores_end_their_writes_too(
    clock: FakeClock, alerts: RecordedAlerts
) -> None:
    inner = MemorySubjectStore()
    breaker = CircuitBreaker("subjects", clock=clock, alerts=alerts, chance=lambda: 0.0)
    store = ResilientSubjectStore(inner, breaker, clock=clock, chance=lambda: 0.0)
    store.be_brief()
    assert await store.create("a", b"one")
    for write in (
        lambda: store.create("b", b"two"),
        lambda: store.replace("a", b"two", entity_tag(b"one")),
        lambda: store.remove("a", entity_tag(b"one")),
    ):
        inner.fail_next(100, False)
        with pytest.raises(StoreTransient):
            await clock.run(write())


async def test_a_subject_store_has_a_breaker_of_its_own(
    clock: FakeClock, alerts: RecordedAlerts
) -> None:
    inner = MemorySubjectStore()
    breaker = CircuitBreaker("subjects", clock=clock, alerts=alerts, chance=lambda: 0.0)
    store = ResilientSubjectStore(inner, breaker, clock=clock, chance=lambda: 0.0)
    inner.fail_next(5, False)
    inner.fail_next(1, True)  # the sixth failure opens, though the bytes were taken
    assert not await clock.run(store.create("a", b"one"))  # its own earlier attempt stands there
    assert (await store.get("a")) == Versioned(b"one", entity_tag(b"one"))
    assert len(inner.attempts) == 7
    assert alerts.events == [("raise", "breaker:subjects"), ("close", "breaker:subjects")]

"""What a pipeline does with batches and assignments that do not come as one would like."""

from __future__ import annotations

import asyncio
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from faust.tables.recovery import RebalanceAgain
from faust.types import TP

from audit_stream.errors import AuditError, BrokerError, Fenced, StateError
from audit_stream.seal.builder import Link
from audit_stream.stream.context import Brake
from audit_stream.stream.fetched import BatchThread
from audit_stream.stream.flow import AuditApp
from audit_stream.stream.table import BatchTable
from tests.support import golden
from tests.support.eventually import eventually
from tests.support.working import ONE, TOPIC, TWO, Working


def of(working: Working, records: list[Any], base: int, end: int) -> Any:
    """A fetched batch, also with holes."""
    working.consumer.expected[ONE] = base
    generation = working.consumer.app.consumer_generation_id
    return working.consumer._to_batch(ONE, records, end, generation)


def junk(first: int, following: int) -> list[Any]:
    return [
        SimpleNamespace(offset=at, timestamp=golden.FIRST_MS, key=b"k", value=b"?", headers=())
        for at in range(first, following)
    ]


# -- the quarantine brake


async def test_what_waits_behind_a_batch_that_tripped_the_brake_is_dropped(
    working: Working,
) -> None:
    """Judged, it would not continue what is built; held, it would fill the memory budget."""
    context = working.pipeline.context
    await working.pipeline.adopt(replace(context, brake=Brake(1.0, 10)))
    bad, good = (
        of(working, junk(0, 20), 0, 20),
        of(working, golden.raw_records(TOPIC)[20:21], 20, 21),
    )
    assert await working.judged(bad) == []
    assert working.pipeline.stopped() == {(TOPIC, 0)}
    assert await working.judged(good) == []
    assert working.consumer.in_flight_bytes == 0


async def test_over_the_budget_who_holds_most_is_sealed_also_without_a_line(
    working: Working,
) -> None:
    """Duplicates and intermediate statuses have none, and fill the budget all the same."""
    pipeline = working.pipeline
    few, many = pipeline.lanes[TOPIC, 0], pipeline.lanes[TOPIC, 1]
    for lane, end in ((few, 1), (many, 2)):
        [chunk] = lane.decide([], 0, end, 0)
        lane.builder.add(chunk, 0)
    working.consumer.in_flight_bytes = pipeline.context.memory_budget
    pipeline.tick()
    assert (len(few.full), len(many.full)) == (0, 1)
    working.consumer.in_flight_bytes = 0


# -- holes


async def test_a_hole_that_grows_with_each_look_is_covered_as_far_as_it_was_seen_twice(
    working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer of many transactions adds a marker each time."""
    sought = list[Any]()

    async def seek(positions: Any) -> None:
        sought.append(dict(positions))

    async def starts(*tps: Any) -> dict[Any, int]:
        return dict.fromkeys(tps, 0)

    monkeypatch.setattr(working.consumer._thread, "seek_wait", seek)
    monkeypatch.setattr(working.consumer, "earliest_offsets", starts)
    records = golden.raw_records(TOPIC)
    first = of(working, [*records[:8], records[9]], 0, 11)  # 8 and 10 are markers
    assert await working.judged(first) == []
    again = of(working, [*records[:8], records[9], records[12]], 0, 14)
    chunks = [chunk for _, chunk in await working.judged(again)]
    assert "".join(golden.letters(chunk) for chunk in chunks).count("x") == 2
    assert (chunks[0].base, chunks[-1].next) == (0, 11)
    assert sought == [{ONE: 0}, {ONE: 11}]
    rest = of(working, [records[12]], 11, 14)
    assert await working.judged(rest) == []  # what only one look has shown waits for another
    assert sought[2:] == [{ONE: 11}]


# -- lag


async def test_a_lost_range_takes_no_memory_by_its_length(working: Working) -> None:
    """After an outage that outlasted retention it has millions of offsets: whoever was killed for
    it would be killed again, while more is lost."""
    lane, lost, first = working.pipeline.lanes[TOPIC, 0], 10**7, golden.raw_records(TOPIC)[0]
    late = golden.Raw(lost, first.timestamp, first.key, first.value)
    tracemalloc.start()
    try:
        for chunk in lane.decide([late], 0, lost + 1, lost):
            assert not lane.braked(chunk)
            lane.count(chunk)
            lane.take(chunk)
        coded = lane.builder.ledger
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert coded == f"{lost}li"
    assert peak < 1_000_000
    counted = working.pipeline.context.metrics.lost_offsets_total.labels(TOPIC)
    assert counted._value.get() == lost


async def test_what_is_archived_while_the_broker_is_asked_is_no_end_that_went_back(
    working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ends(*tps: TP) -> dict[TP, int]:
        for lane in working.pipeline.lanes.values():
            lane.link = Link(next=1100, seq=1, leaf="ab" * 32)
        return dict.fromkeys(tps, 1000)

    monkeypatch.setattr(working.consumer, "highwaters", ends)
    assert await working.pipeline.lag() == {(TOPIC, 0): (1000, None), (TOPIC, 1): (1000, None)}


async def test_an_end_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread has two workers for all that is asked of it."""
    thread = BatchThread.__new__(BatchThread)

    class Leaderless:
        async def end_offsets(self, _: Any) -> Any:
            await asyncio.Event().wait()

    monkeypatch.setattr("audit_stream.stream.fetched.ENDS_SECONDS", 0.01)
    thread._consumer, thread.consumer = Leaderless(), SimpleNamespace(in_transaction=False)
    with pytest.raises(TimeoutError):
        await thread._highwaters([ONE])


# -- assignments that overtake each other


@pytest.mark.parametrize("fails", [False, True])
async def test_a_resync_that_a_rebalance_overtook_opens_nothing_and_ends_nothing(
    working: Working, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Its changelog's producers are another assignment's by now: what it meets is no fault."""
    pipeline = working.pipeline
    working.hold_up(TWO)
    resync = asyncio.create_task(pipeline.positions({ONE, TWO}))
    await working.store.there.wait()
    pipeline.drop()  # as the fence of the next assignment does
    if fails:

        async def fenced(_: str) -> None:
            raise StateError("not owned by this worker")

        monkeypatch.setattr(working.store, "get", fenced)
    working.store.go.set()
    with pytest.raises(RebalanceAgain):
        await resync
    assert working.died == []
    assert (TOPIC, 1) not in pipeline.lanes
    assert pipeline.stopped() == set()


@pytest.mark.parametrize("kind", [Fenced, BrokerError])
@pytest.mark.parametrize("cut_off", [True, False])
async def test_what_a_store_step_meets_that_a_rebalance_cut_off_is_no_fault(
    working: Working, monkeypatch: pytest.MonkeyPatch, kind: type[AuditError], cut_off: bool
) -> None:
    """The next owner of a partition may fence its transaction before it is aborted."""
    begun = asyncio.Event()

    async def writing(*_: Any) -> None:
        begun.set()
        try:
            await asyncio.sleep(3600 if cut_off else 0)
        except asyncio.CancelledError:
            raise kind("another worker owns it now") from None
        raise kind("another worker owns it now")

    monkeypatch.setattr(working.store, "put_if_absent", writing)
    [(lane, chunk)] = await working.judged(of(working, golden.raw_records(TOPIC)[:20], 0, 20))
    working.pipeline.sink(lane, chunk)
    lane.cut()
    await begun.wait()
    if cut_off:
        working.pipeline.drop()
    await eventually(lambda: no_task(f"store {TOPIC}/0"))
    assert bool(working.died) is not cut_off


async def no_task(name: str) -> bool:
    return all(task.get_name() != name for task in asyncio.all_tasks())


# -- the table and Faust's queues


@pytest.fixture
def app(tmp_path: Any) -> AuditApp:
    return AuditApp("t", broker="kafka://127.0.0.1:1", datadir=str(tmp_path), web_enabled=False)


def changelog(base: int, following: int) -> Any:
    records = [SimpleNamespace(key=b"k%d" % at, value=b"v") for at in range(base, following)]
    message = SimpleNamespace(
        tp=TP("c", 0), topic="c", partition=0, base=base, offset=following - 1, records=records
    )
    return SimpleNamespace(message=message)


async def test_a_changelog_s_batch_that_does_not_continue_the_state_is_not_applied(
    app: AuditApp,
) -> None:
    said = list[str]()
    store = BatchTable(app, name="precedence", partitions=1, lacks=said.append).batches
    store.apply_changelog_batch([changelog(0, 5), changelog(5, 9), changelog(8, 12)], None, None)
    assert store.persisted_offset(TP("c", 0)) == 11
    assert said == []
    store.apply_changelog_batch([changelog(13, 20)], None, None)
    assert store.persisted_offset(TP("c", 0)) == 11
    [what] = said
    assert what.startswith("the changelog c/0 was read from 13 on, and the state is at 11")
    await store.stop()


async def test_what_waited_for_room_does_not_land_behind_the_clearing(app: AuditApp) -> None:
    app.flow_control.resume()
    queue = app.FlowControlQueue(maxsize=1, clear_on_resume=True)
    await queue.put("cleared")
    waiting = asyncio.create_task(queue.put("late"))
    await asyncio.sleep(0)
    queue.get_nowait()  # there is room, and the one that waits is told so
    app.flow_control.suspend()
    app.flow_control.clear()
    await waiting
    assert queue.empty()  # who reads changelogs does not wait for the flow
    late = asyncio.create_task(queue.put("later"))
    await asyncio.sleep(0)
    app.flow_control.resume()
    await late
    assert queue.empty()
    await queue.put("new")
    assert queue.get_nowait() == "new"

"""Taking newer keys over while lanes are at work: nothing old goes on, and nothing gets mixed up.

The pipeline's own parts over a store in memory; Faust's consumer is driven offline.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from dataclasses import replace
from typing import Any

import pytest
from faust.types import TP

from tests.support.eventually import eventually
from tests.support.working import ONE, TOPIC, TWO, Working


def stores_of(tp: TP) -> list[str]:
    """Tasks that store a partition."""
    name = f"store {tp.topic}/{tp.partition}"
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name() == name]


async def test_a_batch_from_before_never_comes_to_a_lane_of_the_new_epoch(working: Working) -> None:
    """While the second partition is still being opened, the first one's queue goes on."""
    await working.judged(working.fetched(ONE, 0, 20))
    queued = working.fetched(ONE, 20, 40)
    working.hold_up(TWO)
    adopted = asyncio.create_task(working.pipeline.adopt(working.newer()))
    await working.store.there.wait()
    await eventually(lambda: opened(working, ONE))
    assert await working.judged(queued) == []
    working.store.go.set()
    await adopted
    [(lane, chunk)] = await working.judged(working.fetched(ONE, 0, 20))
    working.pipeline.sink(lane, chunk)
    assert lane.builder.next == 20


async def opened(working: Working, tp: TP) -> bool:
    lane = working.pipeline.lanes.get((tp.topic, tp.partition))
    return lane is not None and lane.context is working.pipeline.context


async def test_old_keys_go_though_a_rebalance_is_opening_lanes(working: Working) -> None:
    """And though somebody still has a dropped lane, as Faust has what came last."""
    pipeline = working.pipeline
    [(lane, _)] = await working.judged(working.fetched(ONE, 0, 20))
    assert isinstance(pipeline.context.cover, memoryview)
    cover = weakref.ref(pipeline.context.cover)
    working.hold_up(TWO)
    rebalanced = asyncio.create_task(pipeline.positions({ONE, TWO}))
    await working.store.there.wait()
    await pipeline.adopt(working.newer())
    assert not rebalanced.done()
    gc.collect()
    assert cover() is None
    assert not lane.live
    working.store.go.set()
    assert await rebalanced == {ONE: 0, TWO: 0}
    assert [each.context for each in pipeline.lanes.values()] == [pipeline.context] * 2
    assert working.died == []


async def test_a_rebalance_while_keys_are_taken_over_opens_each_lane_once(
    working: Working,
) -> None:
    pipeline = working.pipeline
    working.hold_up(TWO)
    adopted = asyncio.create_task(pipeline.adopt(working.newer()))
    await working.store.there.wait()
    rebalanced = asyncio.create_task(pipeline.positions({ONE, TWO}))
    await asyncio.sleep(0)
    working.store.go.set()
    await adopted
    assert await rebalanced == {ONE: 0, TWO: 0}
    assert (len(stores_of(ONE)), len(stores_of(TWO))) == (1, 1)
    assert all(lane.live for lane in pipeline.lanes.values())


async def test_a_rebalance_cuts_off_a_step_that_a_taking_over_waits_for(
    working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction whose broker is away may never end; the keys would stay, and the erasure."""
    begun = asyncio.Event()

    async def never(*_: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(working.store, "put_if_absent", never)
    pipeline = working.pipeline
    [(lane, chunk)] = await working.judged(working.fetched(ONE, 0, 20))
    pipeline.sink(lane, chunk)
    lane.cut()
    await begun.wait()
    adopted = asyncio.create_task(pipeline.adopt(working.newer()))

    async def waits() -> bool:
        return not lane.live

    await eventually(waits)
    assert not adopted.done()
    pipeline.drop()
    async with asyncio.timeout(10):
        await adopted
    assert stores_of(ONE) == []


async def test_who_slept_through_an_erasure_leaves_no_tag(working: Working) -> None:
    """It was excused, and zeroing the tags is over: nobody would come by to zero these."""
    woken = asyncio.Event()

    async def newest() -> int:
        return 2

    pipeline = working.pipeline
    await pipeline.adopt(replace(pipeline.context, newest_epoch=newest, outdated=woken.set))
    [(lane, chunk)] = await working.judged(working.fetched(ONE, 0, 20))
    assert any(chunk.tags)
    pipeline.sink(lane, chunk)
    lane.cut()
    await woken.wait()
    assert not lane.live
    assert await pipeline.context.subjects.names("") == []
    assert await working.store.names("segments/") == []


async def test_who_stores_is_not_cut_off_unseen(
    working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A future that a library gave up ends the task that waits for it; the lane would stand."""

    async def given_up(*_: Any) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    monkeypatch.setattr(working.store, "put_if_absent", given_up)
    [(lane, chunk)] = await working.judged(working.fetched(ONE, 0, 20))
    working.pipeline.sink(lane, chunk)
    lane.cut()

    async def ended() -> bool:
        return stores_of(ONE) == []

    await eventually(ended)
    assert working.died == [f"storing {TOPIC}/0 was cut off"]
    working.pipeline.drop()
    await asyncio.sleep(0)
    assert stores_of(TWO) == []
    assert len(working.died) == 1

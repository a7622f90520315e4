"""Taking newer keys over while lanes are at work: nothing old goes on, and nothing gets mixed up.

The pipeline's own parts over a store in memory; Faust's consumer is driven offline.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import faust
import pytest
from faust.types import TP

from audit_stream.archive.streams import found_stream
from audit_stream.evidence.layout import segment_folder
from audit_stream.evidence.rawmac import raw_key
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.privacy.keytree import Cover, path_of
from audit_stream.seal.builder import Limits, Origin
from audit_stream.seal.judge import Chunk
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.memory_subjects import MemorySubjectStore
from audit_stream.stream.context import Brake, Context
from audit_stream.stream.lane import Lane
from audit_stream.stream.pipeline import Pipeline
from audit_stream.stream.table import BatchTable
from audit_stream.stream.transport import BatchConsumer, BatchTransport
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.metrics import Metrics
from tests.support import golden
from tests.support.eventually import eventually

TOPIC = golden.TOPICS[0]
ONE, TWO = TP(TOPIC, 0), TP(TOPIC, 1)


class SlowStore(MemoryWormStore):
    """Holds reads of one partition up."""

    def __init__(self) -> None:
        super().__init__()
        self.slow: str | None = None
        self.go, self.there = asyncio.Event(), asyncio.Event()

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        await self._wait(prefix)
        return await super().names(prefix, after=after, limit=limit)

    async def get(self, name: str) -> bytes | None:
        await self._wait(name)
        return await super().get(name)

    async def _wait(self, name: str) -> None:
        if self.slow is not None and name.startswith(self.slow):
            self.there.set()
            await self.go.wait()


@dataclass
class Working:
    """A pipeline at work on two partitions."""

    pipeline: Pipeline
    consumer: BatchConsumer
    store: SlowStore
    died: list[str] = field(default_factory=list)

    def newer(self) -> Context:
        """The context of the next epoch, somebody erased."""
        context = self.pipeline.context
        epoch = context.keyring.epoch + 1
        return replace(
            context, keyring=replace(context.keyring, epoch=epoch),
            cover=memoryview(Cover(golden.COVER).puncture([path_of(bytes(range(16)))])),
            origin=replace(context.origin, key_epoch=epoch),
        )  # fmt: skip

    def fetched(self, tp: TP, begin: int, end: int) -> Any:
        self.consumer.expected[tp] = begin
        records: list[Any] = golden.raw_records(TOPIC)[begin:end]
        return self.consumer._to_batch(tp, records, end, self.consumer.app.consumer_generation_id)

    async def judged(self, message: Any) -> list[tuple[Lane, Chunk]]:
        return [each async for each in self.pipeline.ingest(message)]

    def hold_up(self, tp: TP) -> None:
        self.store.slow = segment_folder(tp.topic, 1, tp.partition)


def context_of(store: MemoryWormStore, died: list[str], cover: memoryview) -> Context:
    ring = golden.KEYRING
    assert ring.segment_key is not None
    return Context(
        store=store, subjects=MemorySubjectStore(), signer=LineSigner(ring.segment_key),
        trusted=TrustedKeys(LineSigner(ring.segment_key).public), keyring=ring, cover=cover,
        status_map=golden.STATUS_MAP,
        origin=Origin(
            archive=ring.archive, assurance="mutable", writer="audit-stream/test",
            status_map=golden.STATUS_MAP.hash, key_epoch=1, raw_key=raw_key(ring.index_key),
        ),
        limits=Limits(records=1000, size=1 << 20, age_ms=1000), brake=Brake(1.0, 1000),
        memory_budget=1 << 20, regulatory_tags={TOPIC: "COMPLIANCE_ARCHIVE_V1"}, placeholders=(),
        metrics=Metrics(), alerts=AlarmBoard("worker"), monotonic_ms=lambda: 0,
        wall_ms=lambda: golden.FIRST_MS, nonce=bytes,
        die=lambda code, reason: died.append(reason),
    )  # fmt: skip


async def stream_in(store: MemoryWormStore) -> StreamObject:
    assert golden.KEYRING.segment_key is not None
    signer = LineSigner(golden.KEYRING.segment_key)
    return await found_stream(
        store, signer, TrustedKeys(signer.public), archive=golden.KEYRING.archive, topic=TOPIC,
        genesis=[0, 0], topic_id=None,
    )  # fmt: skip


@pytest.fixture
async def working(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Working]:
    class App(faust.App):
        def _new_transport(self) -> Any:
            return BatchTransport(self.conf.broker_consumer, self)

    app = App("t", broker="kafka://127.0.0.1:1", datadir=str(tmp_path), web_enabled=False)
    table = BatchTable(app, name="precedence", partitions=2)
    consumer = app.consumer
    store, died = SlowStore(), list[str]()
    unused: Any = None  # nothing is folded, copied or asked of the broker here
    pipeline = Pipeline(
        context_of(store, died, memoryview(golden.COVER)), {TOPIC: await stream_in(store)},
        unused, unused, unused,
    )  # fmt: skip
    pipeline.attach(consumer, table.batches)

    async def nothing(*_: Any) -> dict[Any, Any]:
        return {}

    monkeypatch.setattr(consumer._thread, "seek_wait", nothing)
    monkeypatch.setattr(consumer, "highwaters", nothing)
    monkeypatch.setattr(consumer, "assignment", lambda: {ONE, TWO})
    await pipeline.positions({ONE, TWO})
    yield Working(pipeline, consumer, store, died)
    pipeline.drop()
    await table.batches.stop()
    consumer._thread.thread_loop.close()


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

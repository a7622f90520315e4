"""Commit bookkeeping: the stock consumer loses records here, ours does not.

Both are driven offline, through the same calls the fetcher, the streams and the commit loop make.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from audit_stream.stream.fetched import BatchThread, Fetched
from audit_stream.stream.transport import BatchConsumer, BatchTransport

RAW = TP("raw", 0)


def app_with(tmp_path: Path, transport: type[Any]) -> faust.App:
    class App(faust.App):
        def _new_transport(self) -> Any:
            return transport(self.conf.broker_consumer, self)

    app = App("t", broker="kafka://127.0.0.1:1", datadir=str(tmp_path), web_enabled=False)
    app.topics.acks_enabled_for = lambda topic: True  # type: ignore[method-assign]
    return app


@pytest.fixture
async def stock(tmp_path: Path) -> AsyncIterator[Any]:
    consumer = app_with(tmp_path, driver.Transport).consumer
    yield consumer
    consumer._thread.thread_loop.close()


@pytest.fixture
async def ours(tmp_path: Path) -> AsyncIterator[BatchConsumer]:
    consumer = app_with(tmp_path, BatchTransport).consumer
    consumer.expected[RAW] = 0
    yield consumer
    consumer._thread.thread_loop.close()


def stock_message(offset: int) -> ConsumerMessage:
    return ConsumerMessage("raw", 0, offset, 0.0, 0, [], None, b"", None, 0, 0, RAW)


def batch(consumer: BatchConsumer, first: int, following: int) -> Any:
    records = [SimpleNamespace(offset=n, timestamp=0, value=b"x") for n in range(first, following)]
    return consumer._to_batch(RAW, records, following, consumer.app.consumer_generation_id)


async def test_l1_stock_commits_past_a_head_still_in_flight(stock: Any) -> None:
    stock._committed_offset[RAW] = 10  # offset 10 is in flight
    for offset in (11, 12, 13):
        stock.ack(stock_message(offset))
    assert stock._new_offset(RAW) == 14  # 10 is lost


async def test_l1_ours_commits_the_done_prefix_only(ours: BatchConsumer) -> None:
    batches = [batch(ours, 0, 10), batch(ours, 10, 20), batch(ours, 20, 30)]
    ours.ack(batches[1])
    ours.ack(batches[2])
    assert ours._new_offset(RAW) is None
    ours.ack(batches[0])
    assert ours._new_offset(RAW) == 30


async def test_l2_stock_takes_a_record_just_received_for_a_gap(stock: Any) -> None:
    stock._committed_offset[RAW] = 100
    await stock._add_gap(RAW, 101, 110)  # 110 was just received and is in flight
    stock.ack(stock_message(100))
    stock.ack(stock_message(111))
    assert stock._new_offset(RAW) == 112  # 110 is lost


async def test_l2_ours_covers_the_hole_with_the_batch_behind_it(ours: BatchConsumer) -> None:
    ours.ack(batch(ours, 0, 100))
    late = batch(ours, 110, 111)
    assert (late.base, late.next_offset) == (100, 111)
    assert ours._new_offset(RAW) == 100
    ours.ack(late)
    assert ours._new_offset(RAW) == 111


async def test_positions_that_move_without_records_are_covered(ours: BatchConsumer) -> None:
    marker = ours._to_batch(RAW, [], 1, ours.app.consumer_generation_id)
    assert marker is not None
    assert (marker.base, marker.next_offset, marker.records) == (0, 1, [])


async def test_nothing_is_delivered_before_the_seek(ours: BatchConsumer) -> None:
    ours.expected.clear()
    assert batch(ours, 0, 10) is None


async def test_records_below_what_is_expected_are_not_delivered_twice(ours: BatchConsumer) -> None:
    batch(ours, 0, 10)
    again = batch(ours, 5, 15)
    assert [record.offset for record in again.records] == [10, 11, 12, 13, 14]
    assert batch(ours, 0, 15) is None


async def test_an_answer_that_was_dropped_is_fetched_again(
    ours: BatchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no hole: the offsets would be covered without their records."""
    sought, answers = list[Any](), [Fetched([], 0, 10), Fetched([], 30, 40), Fetched([], 10, 20)]

    async def answer(self: Any, **_: Any) -> Any:
        return {RAW: answers.pop(0)}

    async def seek(self: Any, positions: Any) -> None:
        sought.append(dict(positions))

    monkeypatch.setattr(driver.ThreadDelegateConsumer, "_getmany", answer)
    monkeypatch.setattr(BatchThread, "seek_wait", seek)
    given = list[Any]()
    while answers:
        given += [message async for _, message in ours.getmany(1.0)]
    assert [(each.base, each.next_offset) for each in given] == [(0, 10), (10, 20)]
    assert sought == [{RAW: 10}]
    assert {each.epoch for each in given} == {ours.epochs.get(RAW, 0)}  # what waits is not stale


async def test_l5_what_is_dropped_is_neither_committed_nor_waited_for(ours: BatchConsumer) -> None:
    first, second = batch(ours, 0, 10), batch(ours, 10, 20)
    ours._unacked_messages.update((first, second))
    ours.ack(first)
    ours.forget([RAW])
    assert len(ours._unacked_messages) == 0
    ours.ack(second)  # a late ack of a dropped batch
    assert ours._new_offset(RAW) == 10
    assert ours.in_flight_bytes == 0


async def test_an_ack_of_another_generation_commits_nothing(ours: BatchConsumer) -> None:
    old = batch(ours, 0, 10)
    old.generation_id = -7
    ours.ack(old)
    assert ours._new_offset(RAW) is None


@pytest.mark.parametrize("committed", [True, False])
async def test_a_commit_that_failed_is_tried_again(
    ours: BatchConsumer, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    async def commit(self: Any, offsets: Any, **_: Any) -> bool:
        self._committed_offset.update(offsets)  # as stock does, whatever the broker said
        return committed

    monkeypatch.setattr(driver.Consumer, "_commit_offsets", commit)
    ours.ack(batch(ours, 0, 10))
    assert await ours._commit_offsets({RAW: 10}) is committed
    assert ours._new_offset(RAW) == (None if committed else 10)
    assert ours._should_commit(RAW, 10) is not committed


async def test_a_throttled_consumer_fetches_changelogs_only(ours: BatchConsumer) -> None:
    changelog = TP("t-changelog", 0)
    ours.app.tables._changelogs[changelog.topic] = object()
    ours._active_partitions = {RAW, changelog}
    assert ours._fetchable() == {RAW, changelog}
    ours.throttled = lambda: True
    assert ours._fetchable() == {changelog}
    ours.throttled = lambda: False
    ours.halted.add(RAW)
    assert ours._fetchable() == {changelog}


async def test_between_the_seek_and_the_flow_nothing_is_given_out(
    ours: BatchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BatchThread, "assignment", lambda _: {RAW})
    ours._active_partitions = {RAW}
    await ours.perform_seek()
    assert ours._fetchable() == set()
    ours.resume_flow()
    assert ours._fetchable() == {RAW}

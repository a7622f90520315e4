"""What retention takes of a rekey source is told once, and goes with each commit."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from audit_stream.kafka.losses import Losses, with_lost
from audit_stream.stream.sources import RekeySources
from tests.support import golden
from tests.support.working import Working

SOURCE = TP("source", 1)


@pytest.fixture
def sources(working: Working) -> RekeySources:
    context = working.pipeline.context
    return RekeySources(working.consumer, context.metrics, context.alerts)


def broker(
    working: Working, monkeypatch: pytest.MonkeyPatch, start: int, end: int = 100,
    committed: OffsetAndMetadata | None = None,
) -> None:  # fmt: skip
    """What the broker answers of the source."""
    answers = {
        "earliest_offsets": {SOURCE: start}, "highwaters": {SOURCE: end},
        "committed": {} if committed is None else {SOURCE: committed},
    }  # fmt: skip
    for name, answer in answers.items():

        async def answering(*_: Any, answer: Any = answer) -> Any:
            return answer

        monkeypatch.setattr(working.consumer, name, answering)


def batch(working: Working, base: int, end: int, *offsets: int) -> Any:
    working.consumer.expected[SOURCE] = base
    first = golden.raw_records(golden.TOPICS[0])[0]
    records: list[Any] = [golden.Raw(at, first.timestamp, first.key, first.value) for at in offsets]
    generation = working.consumer.app.consumer_generation_id
    return working.consumer._to_batch(SOURCE, records, end, generation)


def told(working: Working) -> tuple[float, list[str]]:
    context: Any = working.pipeline.context
    counted = context.metrics.lost_offsets_total.labels(SOURCE.topic)._value.get()
    return counted, [alarm["key"] for alarm in context.alerts.open()]


@pytest.mark.parametrize(
    ("start", "committed", "position", "lost"),
    [
        (30, None, 30, None),  # never copied from: nothing was ours to lose
        (30, OffsetAndMetadata(40, ""), 40, None),
        (30, OffsetAndMetadata(30, "of another tool"), 30, None),
        (30, OffsetAndMetadata(10, ""), 30, Losses(20, 10, 30)),
        (30, OffsetAndMetadata(10, Losses(5, 2, 9).text), 30, Losses(25, 2, 30)),
        (30, OffsetAndMetadata(10, Losses(25, 2, 30).text), 30, Losses(25, 2, 30)),  # told
        (30, OffsetAndMetadata(101, Losses(5, 2, 9).text), 30, None),  # another topic's
    ],
)
async def test_what_was_deleted_below_the_committed_offset_is_lost(
    working: Working, sources: RekeySources, monkeypatch: pytest.MonkeyPatch, start: int,
    committed: OffsetAndMetadata | None, position: int, lost: Losses | None,
) -> None:  # fmt: skip
    broker(working, monkeypatch, start, committed=committed)
    assert await sources.positions({SOURCE}) == {SOURCE: position}
    assert working.consumer.losses.get(SOURCE) == lost
    known = Losses.read(committed.metadata) if committed and lost else None
    more = (lost.count if lost else 0) - (known.count if known else 0)
    assert told(working) == (more, [f"lost:{SOURCE.topic}/1"] if more else [])
    assert working.consumer._new_offset(SOURCE) == (position if more else None)


async def test_a_hole_below_the_log_start_is_lost_and_any_other_is_none(
    working: Working, sources: RekeySources, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker(working, monkeypatch, 8)
    await sources.check(batch(working, 10, 14, 12, 13))  # a marker
    assert told(working) == (0, [])
    broker(working, monkeypatch, 20)
    await sources.check(batch(working, 14, 25, 22, 23))
    assert told(working) == (6, ["lost:source/1"])
    broker(working, monkeypatch, 30)
    await sources.check(batch(working, 25, 30))
    assert working.consumer.losses == {SOURCE: Losses(11, 14, 30)}


async def test_a_loss_goes_with_each_commit_of_its_partition(working: Working) -> None:
    losses = Losses(20, 10, 30)
    working.consumer.losses[SOURCE] = losses
    committed = list[Any]()

    async def commit(offsets: Any) -> None:
        committed.append(offsets)

    source, other = TopicPartition(*SOURCE), TopicPartition("source", 0)
    offsets = {source: OffsetAndMetadata(40, ""), other: OffsetAndMetadata(7, "")}
    await working.consumer._thread._commit_with_losses(commit, offsets)
    assert committed == [offsets | {source: OffsetAndMetadata(40, losses.text)}]


def test_losses_are_read_as_they_were_written() -> None:
    assert Losses.read(Losses(20, 10, 30).text) == Losses(20, 10, 30)
    assert Losses.read("audit-lost/2 20 10 30") is Losses.read(None) is None
    assert with_lost(None, 5, 5) is None

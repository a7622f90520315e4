"""Gauges by partition: only of our partitions, and true where nothing was archived yet."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from audit_stream.app.lag import Lag
from audit_stream.telemetry.metrics import Metrics

DAY = 86_400.0


class Partitions:
    """What a pipeline says of its partitions: (next, broker end, time of the last record)."""

    def __init__(self, **found: tuple[int, int, int | None]) -> None:
        self.found = found
        self.halted: set[tuple[str, int]] = set()
        self.stops: list[tuple[str, int]] = []

    @property
    def lanes(self) -> dict[tuple[str, int], Any]:
        return {
            (topic, 0): SimpleNamespace(link=SimpleNamespace(next=at))
            for topic, (at, _, _) in self.found.items()
        }

    def stopped(self) -> set[tuple[str, int]]:
        return self.halted

    def stop(self, topic: str, partition: int, message: str) -> None:
        self.stops.append((topic, partition))

    async def lag(self) -> dict[tuple[str, int], tuple[int, int | None]]:
        return {(topic, 0): (end - at, last) for topic, (at, end, last) in self.found.items()}


class Watch:
    def __init__(self, **found: tuple[int, int, int | None]) -> None:
        self.partitions, self.metrics = Partitions(**found), Metrics()
        self.clock = 1_000_000.0
        self.asked: list[int] = []
        self.lag = Lag(
            cast("Any", self.partitions), self.metrics, {"t": 7 * DAY}, self.first,
            now=lambda: self.clock,
        )  # fmt: skip

    async def first(self, topic: str, partition: int, offset: int) -> int | None:
        self.asked.append(offset)
        return int((self.clock - DAY) * 1000)

    def value(self, name: str, topic: str = "t") -> float | None:
        labels = {"topic": topic, "partition": "0"}
        return self.metrics.registry.get_sample_value(f"audit_stream_{name}", labels)


async def test_progress_is_a_moved_offset_or_nothing_to_do() -> None:
    watch = Watch(t=(5, 9, 1))
    await watch.lag.measure()
    assert watch.value("unarchived_offsets") == 4
    assert watch.value("last_progress_timestamp_seconds") == 1_000_000
    for clock, found, progress in [
        (1_000_100, (5, 12, 1), 1_000_000),  # stands
        (1_000_200, (6, 12, 1), 1_000_200),  # moved
        (1_000_300, (12, 12, 1), 1_000_300),  # moved to the end
        (1_000_400, (12, 12, 1), 1_000_400),  # nothing to do
        (1_000_500, (12, 13, 1), 1_000_400),  # stands
    ]:
        watch.clock, watch.partitions.found = clock, {"t": found}
        await watch.lag.measure()
        assert watch.value("last_progress_timestamp_seconds") == progress


async def test_headroom_is_retention_minus_the_oldest_records_age() -> None:
    watch = Watch(t=(5, 9, int((1_000_000 - 2 * DAY) * 1000)), other=(1, 3, 1))
    await watch.lag.measure()
    assert watch.value("retention_headroom_seconds") == 5 * DAY
    assert watch.value("retention_headroom_seconds", "other") is None  # kept for ever
    watch.partitions.found = {"t": (9, 9, 1)}
    await watch.lag.measure()
    assert watch.value("retention_headroom_seconds") == 7 * DAY


async def test_a_topic_that_is_kept_for_ever_by_now_has_no_headroom() -> None:
    watch = Watch(t=(5, 9, int((1_000_000 - 2 * DAY) * 1000)))
    watch.lag.use_retention({"t": 30 * DAY})
    await watch.lag.measure()
    assert watch.value("retention_headroom_seconds") == 28 * DAY
    watch.lag.use_retention({})
    await watch.lag.measure()
    assert watch.value("retention_headroom_seconds") is None


async def test_headroom_where_nothing_was_ever_archived_asks_the_broker_once_a_position() -> None:
    watch = Watch(t=(0, 9, None))
    await watch.lag.measure()
    await watch.lag.measure()
    assert watch.value("retention_headroom_seconds") == 6 * DAY
    assert watch.asked == [0]
    watch.partitions.found = {"t": (3, 9, None)}
    await watch.lag.measure()
    assert watch.asked == [0, 3]


async def test_gauges_of_a_partition_that_is_anothers_now_are_gone() -> None:
    watch = Watch(t=(5, 9, 1), other=(1, 3, 1))
    await watch.lag.measure()
    watch.partitions.found = {"other": (1, 3, 1)}
    await watch.lag.measure()
    left = ("unarchived_offsets", "last_progress_timestamp_seconds", "partition_stopped",
            "retention_headroom_seconds")  # fmt: skip
    assert {watch.value(name) for name in left} == {None}
    assert watch.value("unarchived_offsets", "other") == 2


async def test_a_stopped_partition_is_told_with_and_without_its_lane() -> None:
    watch = Watch(t=(5, 9, 1))
    await watch.lag.measure()
    assert watch.value("partition_stopped") == 0
    watch.partitions.halted = {("t", 0)}
    await watch.lag.measure()
    assert watch.value("partition_stopped") == 1
    watch.partitions.found = {}
    await watch.lag.measure()
    assert watch.value("partition_stopped") == 1


async def test_less_than_is_archived_stops_the_partition() -> None:
    watch = Watch(t=(5, 4, 1))
    await watch.lag.measure()
    assert watch.partitions.stops == [("t", 0)]
    assert watch.value("unarchived_offsets") is None

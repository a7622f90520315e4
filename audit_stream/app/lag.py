"""Lag, headroom and progress of the partitions a worker owns, measured off the data path."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from audit_stream.stream.lanes import Place
from audit_stream.stream.pipeline import Pipeline
from audit_stream.stream.resync import TimestampAt
from audit_stream.telemetry.metrics import Metrics

_BY_PLACE = (
    "unarchived_offsets", "retention_headroom_seconds", "last_progress_timestamp_seconds",
    "last_archived_timestamp_seconds", "partition_stopped",
)  # fmt: skip


class Lag:
    """Sets the gauges by partition, and removes those of partitions that are no longer ours:
    a series that stays behind would be counted twice, or look like a standstill."""

    def __init__(
        self, pipeline: Pipeline, metrics: Metrics, retention: Mapping[str, float],
        timestamp_at: TimestampAt, now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._pipeline, self._metrics = pipeline, metrics
        self._retention, self._timestamp_at, self._now = retention, timestamp_at, now
        self._ours: set[Place] = set()
        self._reached: dict[Place, int] = {}  # the archived offset when last looked at
        self._first: dict[Place, tuple[int, int | None]] = {}  # offset, its record's time

    def use_retention(self, retention: Mapping[str, float]) -> None:
        """What the topics' is now, in seconds: it may be raised to buy time."""
        for topic in self._retention.keys() - retention.keys():  # kept for ever by now
            self._metrics.retention_seconds.remove(topic)
            for place in [place for place in self._ours if place[0] == topic]:
                self._metrics.retention_headroom_seconds.remove(topic, str(place[1]))
        for topic, seconds in retention.items():
            self._metrics.retention_seconds.labels(topic).set(seconds)
        self._retention = dict(retention)

    async def measure(self) -> None:
        """Look at each partition once. Raises what the broker's client raises."""
        self._note_owned(set(self._pipeline.lanes) | self._pipeline.stopped())
        for place, (behind, last_ms) in (await self._pipeline.lag()).items():
            if place not in self._pipeline.lanes:
                continue  # revoked meanwhile
            if behind < 0:
                self._pipeline.stop(
                    *place, f"the broker has {-behind} offsets less of it than are archived: the "
                    "topic was recreated or truncated",
                )  # fmt: skip
                continue
            self._note_progress(place, behind)
            if behind and last_ms is None:
                self._note_headroom(place, behind, await self._first_time(place))
            else:
                self._note_headroom(place, behind, last_ms)

    def _note_owned(self, ours: set[Place]) -> None:
        stopped = self._pipeline.stopped()
        self._forget(self._ours - ours)
        self._ours = ours
        for topic, partition in ours:
            value = float((topic, partition) in stopped)
            self._metrics.partition_stopped.labels(topic, str(partition)).set(value)

    def _forget(self, places: Iterable[Place]) -> None:
        for topic, partition in places:
            self._reached.pop((topic, partition), None)
            self._first.pop((topic, partition), None)
            for name in _BY_PLACE:
                getattr(self._metrics, name).remove(topic, str(partition))

    def _note_progress(self, place: Place, behind: int) -> None:
        topic, partition = place
        self._metrics.unarchived_offsets.labels(topic, str(partition)).set(behind)
        reached = self._pipeline.lanes[place].link.next
        if not behind or reached != self._reached.get(place):
            self._reached[place] = reached
            progress = self._metrics.last_progress_timestamp_seconds
            progress.labels(topic, str(partition)).set(self._now())

    async def _first_time(self, place: Place) -> int | None:
        """Time of the first unarchived record, where nothing was archived whose time is known."""
        topic, partition = place
        offset = self._pipeline.lanes[place].link.next
        known = self._first.get(place)
        if known is None or known[0] != offset:
            known = (offset, await self._timestamp_at(topic, partition, offset))
            self._first[place] = known
        return known[1]

    def _note_headroom(self, place: Place, behind: int, oldest_ms: int | None) -> None:
        topic, partition = place
        if topic not in self._retention:
            return
        waiting = self._now() - oldest_ms / 1000 if behind and oldest_ms else 0.0
        headroom = self._retention[topic] - max(0.0, waiting)
        self._metrics.retention_headroom_seconds.labels(topic, str(partition)).set(headroom)

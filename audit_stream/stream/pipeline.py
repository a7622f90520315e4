"""The pipeline of a worker: records through its lanes, between Faust and the archive.

ingest agent -> ingest(): holes, judge, precedence, seal   (works ahead, bounded by memory)
channel      -> sink():   builder, cut
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from audit_stream.evidence.layout import source_position
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.seal.judge import Chunk
from audit_stream.stream.changelog import ChangelogWriter
from audit_stream.stream.context import Context
from audit_stream.stream.lane import Lane
from audit_stream.stream.lanes import Lanes, Place
from audit_stream.stream.quarantine import QuarantineWriter
from audit_stream.stream.resync import TimestampAt
from audit_stream.stream.sampling import sample_partition
from audit_stream.stream.table import BatchStore
from audit_stream.stream.transport import BatchConsumer, BatchMessage

_HEADROOM = 0.75  # above this share of the budget the largest builder is sealed


class Pipeline(Lanes):
    """What goes into the lanes of one worker."""

    def __init__(
        self, context: Context, streams: Mapping[str, StreamObject], changelog: ChangelogWriter,
        quarantine: QuarantineWriter, timestamp_at: TimestampAt,
    ) -> None:  # fmt: skip
        super().__init__(context, streams, changelog, timestamp_at)
        self.paused: Callable[[], bool] = lambda: False  # the breaker's word
        self._quarantine = quarantine
        #: What was seen once, and how far that answer went, by the partition.
        self._holes: dict[Place, tuple[set[tuple[int, int]], int]] = {}
        self._oldest: dict[str, int] = {}

    def attach(self, consumer: BatchConsumer, table: BatchStore) -> None:
        """See `Lanes`; and say when to stop fetching."""
        super().attach(consumer, table)
        consumer.throttled = self.throttled

    def throttled(self) -> bool:
        """Whether to stop fetching: the breaker is open or the memory budget is used up."""
        return self.paused() or self.consumer.in_flight_bytes > self.context.memory_budget

    # -- ingest

    async def ingest(self, message: BatchMessage) -> AsyncIterator[tuple[Lane, Chunk]]:
        """Judge one fetched batch; what the sink must take, in order, with pauses between."""
        tp = message.tp
        lane = self.lanes.get((tp.topic, tp.partition))
        if lane is None or message.epoch != self.consumer.epochs.get(tp, 0):
            return  # from before a seek
        lost_before, end = 0, message.next_offset
        if len(message.records) != end - message.base:
            known = await self._confirm_holes(message)
            if known is None:
                return
            lost_before, end = known
        sample_partition(self.context, message, lane.stream.partitions)
        records, message.records = message.records, []  # the chunks hold what is still needed
        if end < message.next_offset:
            records = [record for record in records if record.offset < end]
        for chunk in lane.decide(records, message.base, end, lost_before):
            if lane.braked(chunk):
                self._stop(
                    tp, "the quarantine brake stopped this partition: nearly everything would go "
                    "to quarantine; fix the status map or the platform, then restart",
                    "quarantine-brake",
                )  # fmt: skip
                return
            await self._copy_quarantined(lane, chunk)
            yield lane, chunk
            await asyncio.sleep(0)  # storing gets its turn
        if end < message.next_offset and lane.live:
            await self.consumer.reseek({tp: end})

    async def _confirm_holes(self, message: BatchMessage) -> tuple[int, int] | None:
        """A hole counts only after seeking back gives it again: the log start when it did, and how
        far. What the second answer has beyond the first one waits for its own: a producer of many
        transactions would otherwise add a hole each time."""
        tp = message.tp
        holes = message.holes()
        known, until = self._holes.pop(tp, (set(), message.base))
        if (
            until <= message.base
            or not {(a, min(b, until)) for a, b in holes if a < until} <= known
        ):
            self._holes[tp] = holes, message.next_offset
            await self.consumer.reseek({tp: message.base})
            return None
        starts = await self.consumer.earliest_offsets(tp)
        return int(starts[tp]), min(until, message.next_offset)

    async def _copy_quarantined(self, lane: Lane, chunk: Chunk) -> None:
        if chunk.quarantined:
            self._note_oldest(lane, min(record.timestamp for _, record in chunk.quarantined))
        stream = lane.stream
        for reason, record in chunk.quarantined:
            source = source_position(stream.topic, stream.generation, lane.partition, record.offset)
            future = await self._quarantine.send(record, reason, source)
            lane.copies.append((record.offset, future))
        chunk.quarantined = [(reason, None) for reason, _ in chunk.quarantined]

    def _note_oldest(self, lane: Lane, timestamp: int) -> None:
        topic = lane.stream.topic
        self._oldest[topic] = min(self._oldest.get(topic, timestamp), timestamp)
        gauge = self.context.metrics.quarantine_oldest_timestamp_seconds.labels(topic)
        gauge.set(self._oldest[topic] / 1000)

    # -- sink

    def sink(self, lane: Lane, chunk: Chunk) -> None:
        """Build; count; cut what is full."""
        if lane.live:
            lane.count(chunk)
            lane.take(chunk)

    def tick(self) -> None:
        """Seal what is due; over the budget, the largest builder first."""
        for lane in self.lanes.values():
            lane.tick()
        self.context.metrics.overlay_bytes.set(self.consumer.in_flight_bytes)
        if self.consumer.in_flight_bytes > _HEADROOM * self.context.memory_budget:
            largest = max(self.lanes.values(), key=_held, default=None)
            if largest is not None:
                largest.cut()


def _held(lane: Lane) -> tuple[int, int]:
    """What sealing a builder would let go of: its lines, else the offsets that need none."""
    return lane.builder.size, lane.builder.next - lane.builder.base

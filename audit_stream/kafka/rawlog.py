"""Reading a range of one raw partition beside the fleet: assigned, sought, in no consumer group.

As committed as a worker reads, and as careful: a hole in the offsets counts only after seeking back
gives it again, and what retention has deleted meanwhile is told from what was never there.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from audit_stream.errors import BrokerError
from audit_stream.kafka.batches import holes_of, take_whole_batches
from audit_stream.kafka.connect import CLIENT_ID, KafkaConnection, translated
from audit_stream.kafka.header_names import read_any_header_name

_FETCH_BYTES = 4 << 20
_FETCH_MAX_WAIT_MS = 200
_LOOK_SECONDS = 1.0
_PATIENCE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class RawBatch:
    """The records of the offsets [base, next); offsets below `lost_before` the log has lost."""

    base: int
    next: int
    records: Sequence[Any]
    lost_before: int = 0

    def split(self, at: int) -> tuple[RawBatch, RawBatch]:
        """The batch below the offset `at`, and the rest."""
        cut = bisect_left(self.records, at, key=lambda record: record.offset)
        return (
            RawBatch(self.base, at, self.records[:cut], self.lost_before),
            RawBatch(at, self.next, self.records[cut:], self.lost_before),
        )


class RawLog:
    """One partition of a raw topic; open it with `open_raw_log`. Raises `BrokerError`."""

    def __init__(
        self, connection: KafkaConnection, consumer: AIOKafkaConsumer, topic: str, partition: int
    ) -> None:
        self._connection = connection
        self._consumer = consumer
        self._tp = TopicPartition(topic, partition)

    async def bounds(self) -> tuple[int, int]:
        """(log start, first offset that is not committed yet)."""
        async with translated(self._connection):
            start = await self._consumer.beginning_offsets([self._tp])
            end = await self._consumer.end_offsets([self._tp])
        return start[self._tp], end[self._tp]

    async def batches(self, start: int, end: int) -> AsyncIterator[RawBatch]:
        """Everything from `start` on until `end` is covered; the last batch may go beyond it.

        `BrokerError` when nothing comes for five minutes.
        """
        # Not before: an assigned partition without a position is looked up in a group.
        self._consumer.assign([self._tp])
        self._consumer.seek(self._tp, start)
        suspected: set[tuple[int, int]] = set()
        at = start
        while at < end:
            async with translated(self._connection):
                batch = await self._next(at)
            holes = holes_of(batch.records, batch.base, batch.next)
            if holes and not holes <= suspected and not batch.lost_before:
                suspected = holes
                self._consumer.seek(self._tp, at)
                continue
            suspected = set()
            at = batch.next
            yield batch

    async def _next(self, at: int) -> RawBatch:
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                records = await self._take()
            except OffsetOutOfRangeError:
                log_start = (await self.bounds())[0]
                if log_start <= at:
                    break
                self._consumer.seek(self._tp, log_start)
                return RawBatch(at, log_start, (), lost_before=log_start)
            position = await self._consumer.position(self._tp)
            if position > at:
                return RawBatch(at, position, records)
        raise BrokerError(
            f"{self._tp.topic}/{self._tp.partition}: nothing can be read at offset {at}",
            hint="check the broker and the topic; the same command goes on where it was",
        )

    async def _take(self) -> list[Any]:
        """What was fetched, whole broker batches; nothing if nothing comes within a moment."""
        fetcher = self._consumer._fetcher
        take_whole_batches(fetcher._records.values())
        found = await self._consumer.getmany(self._tp, timeout_ms=0)
        if not found and self._tp not in fetcher._records:
            # Waiting in `getmany` itself would give out what then comes record by record.
            waiter = fetcher._create_fetch_waiter()
            await asyncio.wait([waiter], timeout=_LOOK_SECONDS)
            waiter.cancel()
        return list(found.get(self._tp, ()))


@asynccontextmanager
async def open_raw_log(
    connection: KafkaConnection, topic: str, partition: int, name: str
) -> AsyncIterator[RawLog]:
    """One partition for the block; `name` says to the broker who reads."""
    async with _consumer(connection, name) as consumer:
        yield RawLog(connection, consumer, topic, partition)


async def log_bounds(
    connection: KafkaConnection, topic: str, partitions: int, name: str
) -> list[tuple[int, int]]:
    """(log start, first offset that is not committed yet) of each partition. `BrokerError`."""
    tps = [TopicPartition(topic, partition) for partition in range(partitions)]
    async with _consumer(connection, name) as consumer, translated(connection):
        starts = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
    return [(starts[tp], ends[tp]) for tp in tps]


async def offsets_at(
    connection: KafkaConnection, topic: str, partitions: int, time_ms: int, name: str
) -> list[int]:
    """The first offset at or after a Kafka time of each partition; its end if all is older."""
    tps = [TopicPartition(topic, partition) for partition in range(partitions)]
    async with _consumer(connection, name) as consumer, translated(connection):
        found = await consumer.offsets_for_times(dict.fromkeys(tps, time_ms))
        ends = await consumer.end_offsets(tps)
    return [ends[tp] if found[tp] is None else int(found[tp].offset) for tp in tps]


@asynccontextmanager
async def _consumer(connection: KafkaConnection, name: str) -> AsyncIterator[AIOKafkaConsumer]:
    read_any_header_name()
    consumer = AIOKafkaConsumer(
        **connection.client_options() | {"client_id": f"{CLIENT_ID}-{name}"},
        enable_auto_commit=False, auto_offset_reset="none", isolation_level="read_committed",
        max_partition_fetch_bytes=_FETCH_BYTES, fetch_max_wait_ms=_FETCH_MAX_WAIT_MS,
    )  # fmt: skip
    try:
        async with translated(connection):
            await consumer.start()
        yield consumer
    finally:
        await consumer.stop()

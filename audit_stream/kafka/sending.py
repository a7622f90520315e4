"""Sending lines to topics in batches, with every acknowledgement awaited and accounted for.

A mark says where a line stands in the input. `Sender.settled` is the mark before which every line
was acknowledged: where an import that was cut off goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from audit_stream.errors import BrokerError, TopicError
from audit_stream.kafka.ask import configs_with, describe_with
from audit_stream.kafka.connect import KafkaConnection, open_admin, translated

STALL_LIMIT_SECONDS = 300.0  # a broker that takes nothing for so long ends the import
_BATCH_BYTES = 512 * 1024
_RECORD_OVERHEAD_BYTES = 128  # batch header, lengths, offsets: what a lone record adds, rounded up
_PENDING_BATCHES = 256
_ABANDON_SECONDS = 5.0  # for closing the client after a failure


class Mark(NamedTuple):
    """A place between two lines of the input; marks are ordered as the lines are."""

    file: int  # index among the files
    line: int  # lines of that file before it
    offset: int  # bytes of its unpacked text before it


class Batch(Protocol):
    """A record batch being filled; `append` answers None when it is full."""

    def append(self, *, timestamp: int | None, key: bytes | None, value: bytes) -> object:
        """Add one record."""
        ...

    def close(self) -> None:
        """No more is added."""
        ...


@dataclass(slots=True)
class Lane:
    """One topic on its way: a batch being filled per partition, with the mark of its first line."""

    topic: str
    topic_id: str | None
    partitions: int
    max_value: int  # bytes of key and value
    sent: list[int]  # records by partition
    batches: dict[int, tuple[Batch, Mark]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Records in all partitions."""
        return sum(self.sent)


class Sink(Protocol):
    """Where lines go: to the broker, or nowhere in a dry run."""

    @property
    def lanes(self) -> Mapping[str, Lane]:
        """The topics, by name."""
        ...

    def add(self, lane: Lane, partition: int, key: bytes | None, value: bytes, mark: Mark) -> bool:
        """Take a line; False when `send` must come first."""
        ...

    async def send(self, lane: Lane, partition: int) -> None:
        """Send the batch that is full."""
        ...

    async def finish(self) -> None:
        """Send what is begun and wait for every acknowledgement."""
        ...

    def settled(self, reached: Mark) -> Mark:
        """The mark before which every line was acknowledged, when all before `reached` are in."""
        ...


class Counter:
    """The sink of a dry run: counts."""

    def __init__(self, lanes: Mapping[str, Lane]) -> None:
        self.lanes = lanes

    def add(self, lane: Lane, partition: int, key: bytes | None, value: bytes, mark: Mark) -> bool:
        """As `Sink`; everything fits."""
        lane.sent[partition] += 1
        return True

    async def send(self, lane: Lane, partition: int) -> None:
        """As `Sink`; nothing is ever full."""

    async def finish(self) -> None:
        """As `Sink`."""

    def settled(self, reached: Mark) -> Mark:
        """As `Sink`."""
        return reached


class Sender:
    """The sink that fills batches and awaits every acknowledgement."""

    def __init__(self, producer: AIOKafkaProducer, lanes: Mapping[str, Lane]) -> None:
        self.lanes = lanes
        self._producer = producer
        self._pending: deque[tuple[asyncio.Future[Any], Mark]] = deque()

    def add(self, lane: Lane, partition: int, key: bytes | None, value: bytes, mark: Mark) -> bool:
        """As `Sink`."""
        held = lane.batches.get(partition)
        if held is None:
            held = lane.batches[partition] = (self._producer.create_batch(), mark)
        if held[0].append(timestamp=None, key=key, value=value) is None:
            return False
        lane.sent[partition] += 1
        return True

    async def send(self, lane: Lane, partition: int) -> None:
        """As `Sink`; waits while too many batches are unacknowledged."""
        batch, mark = lane.batches[partition]  # it stays there, unsettled, until it is submitted
        batch.close()
        self._pending.append((await self._submit(lane.topic, partition, batch), mark))
        del lane.batches[partition]
        while self._pending and (
            len(self._pending) > _PENDING_BATCHES or self._pending[0][0].done()
        ):
            await self._await_oldest()

    async def finish(self) -> None:
        """As `Sink`."""
        for lane in self.lanes.values():
            for partition in tuple(lane.batches):
                await self.send(lane, partition)
        while self._pending:
            await self._await_oldest()

    async def _await_oldest(self) -> None:
        await asyncio.wait_for(asyncio.shield(self._pending[0][0]), STALL_LIMIT_SECONDS)
        self._pending.popleft()  # not before: one that failed is not settled

    def settled(self, reached: Mark) -> Mark:
        """As `Sink`."""
        filling = (mark for lane in self.lanes.values() for _, mark in lane.batches.values())
        waiting = (mark for future, mark in self._pending if not _acknowledged(future))
        return min((*filling, *waiting), default=reached)

    async def abandon(self) -> None:
        """After a failure: let go of what was not acknowledged."""
        with contextlib.suppress(TimeoutError, KafkaError):  # the first failure is the one told
            async with asyncio.timeout(_ABANDON_SECONDS):
                await self._producer.stop()
        done = [future for future, _ in self._pending if future.done()]
        await asyncio.gather(*done, return_exceptions=True)

    async def _submit(self, topic: str, partition: int, batch: Batch) -> asyncio.Future[Any]:
        deadline = time.monotonic() + STALL_LIMIT_SECONDS
        while True:
            try:
                future: asyncio.Future[Any] = await self._producer.send_batch(
                    batch, topic, partition=partition
                )
                return future
            except KafkaTimeoutError:  # not queued: the partition's last batch still waits
                if time.monotonic() > deadline:
                    raise BrokerError(
                        f"{topic}/{partition} took nothing for {STALL_LIMIT_SECONDS:.0f} s",
                        hint="check the broker, then import again: duplicates do no harm",
                    ) from None


def _acknowledged(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


@asynccontextmanager
async def sending(connection: KafkaConnection, lanes: Mapping[str, Lane]) -> AsyncIterator[Sender]:
    """A sender for the block; Kafka's errors leave it as BrokerError."""
    async with translated(connection):
        limits = [lane.max_value for lane in lanes.values()]
        producer = AIOKafkaProducer(
            **connection.client_options(),
            acks="all",
            enable_idempotence=True,
            max_batch_size=min(_BATCH_BYTES, *limits),  # the topic's limit is on batches
            max_request_size=max(limits) + _BATCH_BYTES,
        )
        sender = Sender(producer, lanes)
        try:
            await producer.start()
            yield sender
        except BaseException:
            await sender.abandon()
            raise
        await producer.stop()


async def open_lanes(connection: KafkaConnection, topics: Sequence[str]) -> dict[str, Lane]:
    """The topics as they are on the broker. Raises TopicError when one is missing."""
    async with open_admin(connection) as admin:
        found = await describe_with(admin, topics)
        if missing := [name for name in topics if name not in found]:
            raise TopicError(
                f"no such topic: {', '.join(missing)}", hint="run: audit-stream topics apply"
            )
        configs = await configs_with(admin, found)
    return {
        name: Lane(
            topic=name,
            topic_id=info.topic_id,
            partitions=info.partitions,
            max_value=int(configs[name]["max.message.bytes"]) - _RECORD_OVERHEAD_BYTES,
            sent=[0] * info.partitions,
        )
        for name, info in found.items()
    }

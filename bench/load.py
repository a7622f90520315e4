"""The workload as record batches, encoded once, and written to a topic as often as needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.producer.message_accumulator import BatchBuilder

from bench.generate import PARTITIONS, Event, Workload, generate

_BATCH_BYTES = 128 * 1024  # before compression
_LZ4 = 3  # Kafka's number for it
_CREATE_LIMIT_MS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of the stream: its batches by partition, and what must come of it."""

    events: int
    batches: Sequence[Sequence[BatchBuilder]]
    rises: frozenset[str]  # event ids
    keys: int  # messages that get their first state here


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The whole workload, ready to be written."""

    workload: Workload
    warmup: Part
    timed: Part

    @property
    def rises(self) -> frozenset[str]:
        """Event ids of everything that must be archived or forwarded, and nothing else may."""
        return self.warmup.rises | self.timed.rises

    @property
    def keys(self) -> int:
        """Messages of which there is state in the end."""
        return self.warmup.keys + self.timed.keys


def encode(workload: Workload, partitions: int = PARTITIONS) -> Load:
    """Generate and encode: some ten seconds and 150 MB for a million events."""
    stream = generate(workload, partitions)
    warmup = _encode_part(islice(stream, workload.warmup), workload.warmup, partitions)
    timed = _encode_part(stream, workload.events, partitions)
    return Load(workload=workload, warmup=warmup, timed=timed)


def _encode_part(events: Iterable[Event], count: int, partitions: int) -> Part:
    batches: list[list[BatchBuilder]] = [[] for _ in range(partitions)]
    rises: set[str] = set()
    keys = 0
    for event in events:
        _append(batches[event.partition], event)
        if event.rise is not None:
            rises.add(event.rise)
            keys += event.first
    for of_one in batches:
        for batch in of_one:
            batch._build()
    return Part(events=count, batches=batches, rises=frozenset(rises), keys=keys)


def _append(batches: list[BatchBuilder], event: Event) -> None:
    if batches and _add(batches[-1], event):
        return
    batches.append(BatchBuilder(_BATCH_BYTES, _LZ4))
    _add(batches[-1], event)


def _add(batch: BatchBuilder, event: Event) -> bool:
    added = batch.append(timestamp=None, key=event.key, value=event.value)
    return added is not None


@asynccontextmanager
async def open_admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client for the block."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def create_topics(
    bootstrap: str, topics: Iterable[str], partitions: int = PARTITIONS
) -> None:
    """Create topics of so many partitions; the broker sets the time, as ours must have it."""
    config = {"message.timestamp.type": "LogAppendTime"}
    async with open_admin(bootstrap) as admin:
        await admin.create_topics(
            [NewTopic(name, partitions, 1, topic_configs=config) for name in topics],
            timeout_ms=_CREATE_LIMIT_MS,
        )


async def delete_topics(bootstrap: str, prefix: str) -> None:
    """Delete every topic whose name starts with `prefix`."""
    async with open_admin(bootstrap) as admin:
        names = [name for name in await admin.list_topics() if name.startswith(prefix)]
        await admin.delete_topics(names, timeout_ms=_CREATE_LIMIT_MS)


async def group_members(admin: AIOKafkaAdminClient, group: str) -> int:
    """How many members a stable consumer group has; 0 while it is none."""
    (response,) = await admin.describe_consumer_groups([group])
    ((_error, _group, state, _type, _protocol, members, *_),) = response.groups
    return len(members) if state == "Stable" else 0


async def write(bootstrap: str, topic: str, part: Part) -> None:
    """Write `part` to `topic`; on return the broker has acknowledged all of it."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    async with producer:
        await asyncio.gather(
            *(
                _write_partition(producer, topic, partition, batches)
                for partition, batches in enumerate(part.batches)
            )
        )


async def _write_partition(
    producer: AIOKafkaProducer, topic: str, partition: int, batches: Sequence[BatchBuilder]
) -> None:
    for batch in batches:
        await (await producer.send_batch(batch, topic, partition=partition))

"""Put files of JSON lines into the raw topics, byte for byte.

Topic: the one given, else the file's name, else the event's `type`. Key: the event's `message_id`
as UTF-8, partition by murmur2 as Kafka's own clients do. A line that is not a JSON object or has
no string `message_id` goes in as it is, without a key, spread over the partitions by line number.
Order within a partition is the order of the lines. No printing: progress goes to a callback.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from audit_stream.errors import BrokerError, TopicError
from audit_stream.kafka.connect import (
    KafkaConnection,
    configs_with,
    describe_with,
    open_admin,
    translated,
)
from audit_stream.kafka.lines import LineFile, open_lines
from audit_stream.kafka.partitioner import key_hash

STALL_LIMIT_SECONDS = 300.0  # a broker that takes nothing for so long ends the import
_BATCH_BYTES = 512 * 1024
_RECORD_OVERHEAD_BYTES = 128  # batch header, lengths, offsets: what a lone record adds, rounded up
_LINES_PER_TURN = 500  # between two turns of the event loop
_PENDING_BATCHES = 256
_ABANDON_SECONDS = 5.0  # for closing the client after a failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the import is; `total_bytes` is None when standard input is among the files."""

    file: str
    lines: int
    read_bytes: int
    total_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A line that was not sent: where it stands and why."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What was acknowledged by the broker, per topic, and what was not sent."""

    sent: Mapping[str, int]
    without_key: int
    sent_bytes: int
    refused: Sequence[Refused]
    seconds: float

    @property
    def total(self) -> int:
        """Records in all topics."""
        return sum(self.sent.values())


class _Batch(Protocol):
    def append(self, *, timestamp: int | None, key: bytes | None, value: bytes) -> object: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class _Lane:
    """One topic on its way: a batch being filled per partition."""

    topic: str
    partitions: int
    max_value: int  # bytes of key and value
    batches: dict[int, _Batch] = field(default_factory=dict)
    sent: int = 0


class _Sender:
    """Fills batches and awaits every acknowledgement."""

    def __init__(self, producer: AIOKafkaProducer, lanes: Mapping[str, _Lane]) -> None:
        self.lanes = lanes
        self._producer = producer
        self._pending: deque[asyncio.Future[Any]] = deque()

    async def add(self, lane: _Lane, partition: int, key: bytes | None, value: bytes) -> None:
        batch = lane.batches.get(partition)
        if batch is None:
            batch = lane.batches[partition] = self._producer.create_batch()
        if batch.append(timestamp=None, key=key, value=value) is None:
            await self._send(lane, partition)
            batch = lane.batches[partition] = self._producer.create_batch()
            batch.append(timestamp=None, key=key, value=value)  # the first always fits
        lane.sent += 1

    async def finish(self) -> None:
        """Send what is begun and wait for every acknowledgement."""
        for lane in self.lanes.values():
            for partition in tuple(lane.batches):
                await self._send(lane, partition)
        while self._pending:
            await asyncio.wait_for(self._pending.popleft(), STALL_LIMIT_SECONDS)

    async def abandon(self) -> None:
        """After a failure: let go of what was not acknowledged."""
        with contextlib.suppress(TimeoutError, KafkaError):  # the first failure is the one told
            async with asyncio.timeout(_ABANDON_SECONDS):
                await self._producer.stop()
        await asyncio.gather(*(f for f in self._pending if f.done()), return_exceptions=True)

    async def _send(self, lane: _Lane, partition: int) -> None:
        batch = lane.batches.pop(partition)
        batch.close()
        self._pending.append(await self._submit(lane.topic, partition, batch))
        while self._pending and (len(self._pending) > _PENDING_BATCHES or self._pending[0].done()):
            await asyncio.wait_for(self._pending.popleft(), STALL_LIMIT_SECONDS)

    async def _submit(self, topic: str, partition: int, batch: _Batch) -> asyncio.Future[Any]:
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


async def import_files(
    connection: KafkaConnection,
    files: Sequence[LineFile],
    *,
    raw_topics: Sequence[str],
    topic: str | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Imported:
    """Send every line of `files`, in order. `raw_topics` are those a name or a type may mean.

    Raises TopicError when a topic is missing, ConfigError for a damaged file, BrokerError when
    the broker does not take a batch; then some lines may be in, and importing again is safe.
    """
    began = time.monotonic()
    tally = _Tally()
    async with _sending(connection, (topic,) if topic else tuple(raw_topics)) as sender:
        for file in files:
            await _import_file(sender, file, topic, tally, _reporter(files, file, tally, progress))
        await sender.finish()
        sent = {lane.topic: lane.sent for lane in sender.lanes.values() if lane.sent}
    return Imported(
        sent=sent,
        without_key=tally.without_key,
        sent_bytes=tally.sent_bytes,
        refused=tuple(tally.refused),
        seconds=time.monotonic() - began,
    )


@dataclass(slots=True)
class _Tally:
    refused: list[Refused] = field(default_factory=list)
    lines: int = 0
    without_key: int = 0
    sent_bytes: int = 0
    finished_bytes: int = 0


async def _import_file(
    sender: _Sender,
    file: LineFile,
    topic: str | None,
    tally: _Tally,
    report: Callable[[int], None],
) -> None:
    named = topic or (file.topic if file.topic in sender.lanes else None)
    with open_lines(file) as (lines, position):
        for number, line in enumerate(lines, start=1):
            if number % _LINES_PER_TURN == 0:
                report(position())
                await asyncio.sleep(0)
            tally.lines += 1
            key, kind = _read(line)
            if number in file.keys:
                key = file.keys[number]
            lane = sender.lanes.get(named or kind or "")
            if reason := _refusal(lane, key, line):
                tally.refused.append(Refused(file=file.name, line=number, reason=reason))
            elif lane is not None:
                tally.without_key += key is None
                tally.sent_bytes += len(line)
                await sender.add(lane, _partition(key, number, lane.partitions), key, line)
    tally.finished_bytes += file.size or 0
    report(0)


def _read(line: bytes) -> tuple[bytes | None, str | None]:
    """Key and event type of a line; None where it has none."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None, None
    if type(event) is not dict:
        return None, None
    message_id, kind = event.get("message_id"), event.get("type")
    return (
        message_id.encode() if type(message_id) is str else None,
        kind if type(kind) is str else None,
    )


def _refusal(lane: _Lane | None, key: bytes | None, line: bytes) -> str | None:
    if lane is None:
        return "no topic: neither the file's name nor the event's type is a raw topic"
    if len(line) + len(key or b"") > lane.max_value:
        return f"larger than {lane.topic} takes ({lane.max_value} bytes)"
    return None


def _partition(key: bytes | None, number: int, partitions: int) -> int:
    return number % partitions if key is None else _hash(key) % partitions


@lru_cache(maxsize=1 << 16)  # murmur2 is Python, and a message has several events
def _hash(key: bytes) -> int:
    return key_hash(key)


def _reporter(
    files: Sequence[LineFile],
    file: LineFile,
    tally: _Tally,
    progress: Callable[[Progress], None],
) -> Callable[[int], None]:
    sizes = [one.size for one in files]
    total = None if None in sizes else sum(size or 0 for size in sizes)

    def report(position: int) -> None:
        progress(
            Progress(
                file=file.name,
                lines=tally.lines,
                read_bytes=tally.finished_bytes + position,
                total_bytes=total,
            )
        )

    return report


@asynccontextmanager
async def _sending(connection: KafkaConnection, topics: Sequence[str]) -> AsyncIterator[_Sender]:
    lanes = await _open_lanes(connection, topics)
    async with translated(connection):
        limits = [lane.max_value for lane in lanes.values()]
        producer = AIOKafkaProducer(
            **connection.client_options(),
            acks="all",
            enable_idempotence=True,
            max_batch_size=min(_BATCH_BYTES, *limits),  # the topic's limit is on batches
            max_request_size=max(limits) + _BATCH_BYTES,
        )
        sender = _Sender(producer, lanes)
        try:
            await producer.start()
            yield sender
        except BaseException:
            await sender.abandon()
            raise
        await producer.stop()


async def _open_lanes(connection: KafkaConnection, topics: Sequence[str]) -> dict[str, _Lane]:
    async with open_admin(connection) as admin:
        found = await describe_with(admin, topics)
        if missing := [name for name in topics if name not in found]:
            raise TopicError(
                f"no such topic: {', '.join(missing)}", hint="run: audit-stream topics apply"
            )
        configs = await configs_with(admin, found)
    return {
        name: _Lane(
            topic=name,
            partitions=info.partitions,
            max_value=int(configs[name]["max.message.bytes"]) - _RECORD_OVERHEAD_BYTES,
        )
        for name, info in found.items()
    }

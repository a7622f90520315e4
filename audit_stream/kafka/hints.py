"""``audit-segments``: a hint for each stored segment, so that tailers need not ask the store.

Losing one costs only time, and none is evidence: who misses hints looks at the store itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from audit_stream.errors import BrokerError
from audit_stream.evidence.canonical import canonical
from audit_stream.kafka.ask import topic_partitions
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.seal.builder import Sealed

log = logging.getLogger(__name__)
TOPIC = "audit-segments"
_WAITING = 10_000  # hints at most while the broker is away; the oldest go
_AGAIN_SECONDS = 5.0
_POLL_MS = 500
#: (topic, generation, partition) of a stream.
Place = tuple[str, int, int]


class _Background:
    """A task that is begun again for as long as Kafka fails."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the background: nobody waits for hints."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._work()
            except (KafkaError, BrokerError, OSError) as error:
                log.info("hints on %s: %s; trying again", TOPIC, type(error).__name__)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _work(self) -> None:
        raise NotImplementedError


class HintWriter(_Background):
    """Tells of stored segments; never blocks, never raises."""

    def __init__(self, client_options: Mapping[str, Any]) -> None:
        super().__init__()
        self._options = dict(client_options)
        self._waiting: deque[dict[str, Any]] = deque(maxlen=_WAITING)
        self._news = asyncio.Event()

    def tell(self, sealed: Sealed) -> None:
        """A segment stands."""
        header = sealed.header
        self._waiting.append({
            "base": header.base, "generation": header.generation, "leaf": sealed.leaf.hex(),
            "next": header.next, "partition": header.partition, "topic": header.topic,
        })  # fmt: skip
        self._news.set()

    async def _work(self) -> None:
        producer = AIOKafkaProducer(**self._options, acks=1, linger_ms=20)
        await producer.start()
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._waiting:
                    hint = self._waiting.popleft()
                    key = f"{hint['topic']}/{hint['partition']}".encode()
                    await producer.send(TOPIC, canonical(hint), key)
        finally:
            await producer.stop()


class HintReader(_Background):
    """Which partitions have news, from every worker's hints."""

    def __init__(self, connection: KafkaConnection) -> None:
        super().__init__()
        self._connection = connection
        self._places: set[Place] = set()
        self._whole = False  # whether nothing was missed since the last `take`
        self._reading = False
        self.count = 0  # hints since the last `take`

    def take(self) -> frozenset[Place] | None:
        """Whose segments were stored since the last call; None when hints may have been missed."""
        found = frozenset(self._places) if self._whole else None
        self._places.clear()
        self.count, self._whole = 0, self._reading
        return found

    async def _work(self) -> None:
        partitions = (await topic_partitions(self._connection, [TOPIC])).get(TOPIC, 0)
        if not partitions:
            raise BrokerError(f"no such topic: {TOPIC}", hint="run: audit-stream topics apply")
        consumer = AIOKafkaConsumer(**self._connection.client_options(), enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign([TopicPartition(TOPIC, number) for number in range(partitions)])
            await consumer.seek_to_end()
            self._reading = True
            while True:
                for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                    for record in records:
                        self._note(record.value)
        finally:
            self._reading = self._whole = False
            await consumer.stop()

    def _note(self, value: bytes | None) -> None:
        try:
            hint = json.loads(value or b"")
            place = (str(hint["topic"]), int(hint["generation"]), int(hint["partition"]))
        except (ValueError, KeyError, TypeError):
            return  # anybody may write there: it is only a hint
        self._places.add(place)
        self.count += 1

"""The table's changelog: one transactional producer per table partition.

`transactional.id` = app, table, partition. Initialising it before the restore fences a paused
worker that wakes later: its next transaction fails and it ends (design.md section 3).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced

from audit_stream.errors import BrokerError, BrokerRefused, Fenced
from audit_stream.kafka.connect import REFUSALS

_BATCH_BYTES = 512 << 10
_REQUEST_TIMEOUT_MS = 30_000
#: Below the time a stop may take: Faust cannot stop before a rebalance has returned.
_OPEN_SECONDS = 20.0
_CLOSE_SECONDS = 5.0
Pair = tuple[bytes, bytes | None]


class ChangelogWriter:
    """Writes batches of table changes, each batch in one transaction."""

    def __init__(self, app_id: str, topic: str, client_options: Mapping[str, Any]) -> None:
        self._prefix = f"{app_id}-{topic}"
        self._topic = topic
        self._options = dict(client_options)
        self._producers: dict[int, AIOKafkaProducer] = {}
        self._locks: dict[int, asyncio.Lock] = {}

    async def own(self, partitions: Iterable[int]) -> None:
        """Fence and own exactly these partitions; producers of others are closed.

        A kept partition is initialised anew as well: between two generations it may have been
        another worker's, whose producer must not be able to go on. `BrokerError` when the broker
        is away, `BrokerRefused` when it will not have it; calling again is right after either.
        """
        wanted = set(partitions)
        await asyncio.gather(*(self._close(p) for p in list(self._producers)))
        opened = await asyncio.gather(*(self._open(p) for p in wanted), return_exceptions=True)
        for error in filter(None, opened):
            raise error

    async def _open(self, partition: int) -> None:
        producer = AIOKafkaProducer(
            **self._options, transactional_id=f"{self._prefix}-{partition}", acks="all",
            compression_type="snappy", linger_ms=0, max_batch_size=_BATCH_BYTES,
            max_request_size=2 * _BATCH_BYTES, request_timeout_ms=_REQUEST_TIMEOUT_MS,
            transaction_timeout_ms=_REQUEST_TIMEOUT_MS,
        )  # fmt: skip
        try:
            await asyncio.wait_for(producer.start(), _OPEN_SECONDS)
        except (KafkaError, AssertionError, TimeoutError) as error:
            # The client asserts that it knows a broker: one that has just started names none. It
            # looks for a coordinator of transactions for ever, and says nothing.
            await producer.stop()
            raise _told(f"own changelog partition {partition}", error) from error
        self._producers[partition] = producer
        self._locks[partition] = asyncio.Lock()

    async def _close(self, partition: int) -> None:
        producer = self._producers.pop(partition)
        # With the broker away this fails: the next owner's initialisation fences it anyway.
        with contextlib.suppress(TimeoutError, KafkaError):
            await asyncio.wait_for(producer.stop(), _CLOSE_SECONDS)

    async def close(self) -> None:
        """Close all producers."""
        await self.own(())

    async def write(self, partition: int, pairs: Sequence[Pair]) -> int | None:
        """Write the pairs in one transaction; the offset of the last one, if the broker told.

        Raises `Fenced` when another worker owns the partition now, `BrokerError` otherwise.
        """
        producer = self._producers.get(partition)
        if producer is None:
            raise Fenced(f"changelog partition {partition} is not owned by this worker")
        try:
            async with self._locks[partition], producer.transaction():
                return await self._send(producer, partition, pairs)
        except ProducerFenced as error:
            raise Fenced(f"another worker owns changelog partition {partition} now") from error
        except KafkaError as error:
            raise _told(f"write changelog partition {partition}", error) from error

    async def _send(
        self, producer: AIOKafkaProducer, partition: int, pairs: Sequence[Pair]
    ) -> int | None:
        futures, counts = [], []
        for batch, count in self._batches(producer, pairs):
            futures.append(await producer.send_batch(batch, self._topic, partition=partition))
            counts.append(count)
        results = await asyncio.gather(*futures)  # every future: a lost one would be silent
        last = results[-1].offset if results else -1
        return last + counts[-1] - 1 if last >= 0 else None

    def _batches(
        self, producer: AIOKafkaProducer, pairs: Sequence[Pair]
    ) -> Iterable[tuple[Any, int]]:
        batch, count = producer.create_batch(), 0
        for key, value in pairs:
            if batch.append(key=key, value=value, timestamp=None) is None:
                batch.close()
                yield batch, count
                batch, count = producer.create_batch(), 0
                if batch.append(key=key, value=value, timestamp=None) is None:
                    raise BrokerError("a table entry does not fit into one changelog batch")
            count += 1
        if count:
            batch.close()
            yield batch, count


def _told(what: str, error: Exception) -> BrokerError:
    kind = BrokerRefused if isinstance(error, REFUSALS) else BrokerError
    return kind(f"cannot {what}: {type(error).__name__}: {error}")

"""Sending a record as it is, also one without key and value, which the client's `send` refuses.

Kafka takes such a record from other clients, so a raw topic can hold one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from audit_stream.errors import BrokerError


async def send_anything(
    producer: AIOKafkaProducer, topic: str, *, key: bytes | None, value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]], partition: int | None = None,
    timestamp_ms: int | None = None,
) -> asyncio.Future[Any]:  # fmt: skip
    """Enqueue it; the future is done once it is acknowledged. Without a partition, the key's."""
    future: asyncio.Future[Any]
    if key is not None or value is not None:
        future = await producer.send(
            topic, value=value, key=key, partition=partition, timestamp_ms=timestamp_ms,
            headers=headers,
        )  # fmt: skip
        return future
    if partition is None:
        partition = min(await producer.partitions_for(topic))
    batch = producer.create_batch()
    if batch.append(key=None, value=None, timestamp=timestamp_ms, headers=headers) is None:
        raise BrokerError("the headers of a record do not fit into one batch")
    batch.close()
    future = await producer.send_batch(batch, topic, partition=partition)
    return future

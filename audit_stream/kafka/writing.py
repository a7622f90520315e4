"""Writing a few records to a topic of ours, outside the pipeline, over a producer of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from audit_stream.errors import TopicError
from audit_stream.kafka.connect import KafkaConnection, translated

LIMIT_SECONDS = 10.0
REQUEST_MS = 6_000  # less: what a request runs into has a better name than the limit
_CLOSE_SECONDS = 1.0


async def write_records(
    connection: KafkaConnection, topic: str, records: Sequence[tuple[bytes, bytes]], *,
    limit: float = LIMIT_SECONDS, request_ms: int = REQUEST_MS,
) -> None:  # fmt: skip
    """Write keys and values, in order; they stand on every in-sync replica on return.

    Such records are rare: a producer for each time leaves nothing behind that a broken broker could
    spoil. `BrokerError` when it may go through later, `TopicError` when there is no such topic.
    """
    async with translated(connection), asyncio.timeout(limit):
        producer = AIOKafkaProducer(
            **connection.client_options(), acks="all", enable_idempotence=True,
            request_timeout_ms=request_ms,
        )  # fmt: skip
        try:
            await producer.start()
            for key, value in records:
                await producer.send_and_wait(topic, value=value, key=key)
        except UnknownTopicOrPartitionError:
            raise TopicError(
                f"no such topic: {topic}", hint="run: audit-stream topics apply"
            ) from None
        finally:
            # With the broker away it would wait for what cannot be sent.
            with contextlib.suppress(TimeoutError, KafkaError):
                await asyncio.wait_for(producer.stop(), _CLOSE_SECONDS)

"""Writing ``audit-ops-events``: alarms, over a producer that shares nothing with the pipeline's."""

from __future__ import annotations

import asyncio
import contextlib

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from audit_stream.errors import TopicError
from audit_stream.kafka.connect import KafkaConnection, translated

TOPIC = "audit-ops-events"
_LIMIT_SECONDS = 10.0
_REQUEST_MS = 6_000  # less: what a request runs into has a better name than the limit
_CLOSE_SECONDS = 1.0


async def write_event(connection: KafkaConnection, key: str, value: bytes) -> None:
    """Write one record, within ten seconds; it stands on every in-sync replica on return.

    Alarms are rare: a producer for each leaves nothing behind that a broken broker could spoil.
    `BrokerError` when it may go through later, `TopicError` when there is no such topic.
    """
    async with translated(connection), asyncio.timeout(_LIMIT_SECONDS):
        producer = AIOKafkaProducer(
            **connection.client_options(), acks="all", enable_idempotence=True,
            request_timeout_ms=_REQUEST_MS,
        )  # fmt: skip
        try:
            await producer.start()
            await producer.send_and_wait(TOPIC, value=value, key=key.encode("utf-8", "replace"))
        except UnknownTopicOrPartitionError:
            raise TopicError(
                f"no such topic: {TOPIC}", hint="run: audit-stream topics apply"
            ) from None
        finally:
            # With the broker away it would wait for what cannot be sent.
            with contextlib.suppress(TimeoutError, KafkaError):
                await asyncio.wait_for(producer.stop(), _CLOSE_SECONDS)

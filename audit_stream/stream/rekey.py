"""The rekey agent: copies the records of a topic its platform cannot key to its ``-rekeyed`` twin.

Key = message id, timestamp and bytes unchanged, first position in a header only workers write. At
least once: a copy made twice is a duplicate to the twin's judge. Of a record that the twin cannot
take whole so much is copied that its judge finds it too large as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from audit_stream.flatten.event import MAX_TEXT, MAX_VALUE_BYTES
from audit_stream.kafka.anything import send_anything
from audit_stream.kafka.oversize import MAX_REQUEST_BYTES, cut_from, fits
from audit_stream.kafka.partitioner import partition_of
from audit_stream.seal.judge import ORIGIN_HEADER
from audit_stream.stream.transport import BatchMessage
from audit_stream.telemetry.metrics import Metrics

#: Of a batch in the twin, as it is declared: the raw limit and room for key and headers.
TWIN_LIMIT = 1_114_112


def message_key(value: bytes | None) -> bytes | None:
    """The message id of an event as a key, or None when it has none that can be one."""
    try:
        event = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    found = event.get("message_id") if isinstance(event, dict) else None
    return found.encode() if isinstance(found, str) and len(found) <= MAX_TEXT else None


class Rekeyer:
    """Copies fetched batches; `copy` returns once every replica has every copy."""

    def __init__(
        self, twins: Mapping[str, str], partitions: int, client_options: Mapping[str, Any],
        metrics: Metrics,
    ) -> None:  # fmt: skip
        self._twins = twins
        self._partitions = partitions
        self._options = dict(client_options)
        self._metrics = metrics
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect, if there is anything to rekey."""
        if self._twins:
            self._producer = AIOKafkaProducer(
                **self._options, acks="all", enable_idempotence=True, compression_type="lz4",
                linger_ms=5, max_request_size=MAX_REQUEST_BYTES,
            )  # fmt: skip
            await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def copy(self, message: BatchMessage) -> None:
        """Copy one batch, in order per key."""
        assert self._producer is not None
        twin, place = self._twins[message.topic], f"{message.topic}/{message.partition}"
        futures = []
        for record in message.records:
            key = message_key(record.value)
            spread = record.offset % self._partitions  # without a key there is nothing to order
            partition = spread if key is None else partition_of(key, self._partitions)
            origin = f"{place}/{record.offset}"
            value, headers = record.value, [(ORIGIN_HEADER, origin.encode())]
            if value and len(value) > MAX_VALUE_BYTES:
                value, headers = await _cut_to_fit(key, value, headers)
            futures.append(await send_anything(
                self._producer, twin, value=value, key=key, partition=partition,
                timestamp_ms=max(record.timestamp, 0), headers=headers,
            ))  # fmt: skip
        await asyncio.gather(*futures)
        self._metrics.rekeyed_total.labels(message.topic).inc(len(futures))


async def _cut_to_fit(
    key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]
) -> tuple[bytes, list[tuple[str, bytes]]]:
    if await fits(TWIN_LIMIT, key, value, headers):
        return value, headers
    return value[: MAX_VALUE_BYTES + 1], [*headers, cut_from(value)]

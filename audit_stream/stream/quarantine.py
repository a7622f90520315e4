"""Quarantine copies: raw bytes unchanged to ``audit-quarantine``, durable before covered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from audit_stream.kafka.anything import send_anything
from audit_stream.kafka.quarantine import TOPIC

#: Version of the copy's headers.
VERSION = "1"
_MAX_REQUEST = 5 << 19  # 2.5 MiB: above twice the largest raw record


class QuarantineWriter:
    """Sends copies; the caller awaits each one's future before it stores the covering segment."""

    def __init__(self, client_options: Mapping[str, Any], topic: str = TOPIC) -> None:
        self._options = dict(client_options)
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect."""
        self._producer = AIOKafkaProducer(
            **self._options, acks="all", enable_idempotence=True, compression_type="lz4",
            max_request_size=_MAX_REQUEST, linger_ms=5,
        )  # fmt: skip
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect; unsent copies are dropped with the batches they belong to."""
        if self._producer is not None:
            await self._producer.stop()

    async def send(self, record: Any, reason: str, source: str) -> asyncio.Future[Any]:
        """Enqueue one copy; the future is done once every replica has it."""
        assert self._producer is not None
        headers = [
            ("reason", reason.encode()),
            ("source", source.encode()),
            ("timestamp", str(record.timestamp).encode()),
            ("version", VERSION.encode()),
            *[(name, value) for name, value in record.headers if name not in _OURS],
        ]
        return await send_anything(
            self._producer, self._topic, key=record.key, value=record.value, headers=headers
        )


_OURS = frozenset(("reason", "source", "timestamp", "version"))

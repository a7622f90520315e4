"""Quarantine copies: raw bytes unchanged to ``audit-quarantine``, durable before covered.

Of a record that the topic cannot take whole the copy has how the value begins, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from audit_stream.kafka.anything import send_anything
from audit_stream.kafka.oversize import MAX_REQUEST_BYTES, cut_from, fits
from audit_stream.kafka.quarantine import TOPIC
from audit_stream.seal.judge import ORIGIN_HEADER

#: Version of the copy's headers.
VERSION = "1"
#: Of a batch there, as the topic is declared: above twice the largest raw record.
QUARANTINE_LIMIT = 5 << 19
_KEPT_BYTES = 64 << 10  # of a value that is cut
_MAX_KEPT_KEY = 1024  # bytes of a key or header that is kept beside it


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
            max_request_size=MAX_REQUEST_BYTES, linger_ms=5,
        )  # fmt: skip
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect; unsent copies are dropped with the batches they belong to."""
        if self._producer is not None:
            await self._producer.stop()

    async def send(self, record: Any, reason: str, source: str) -> asyncio.Future[Any]:
        """Enqueue one copy; the future is done once every replica has it."""
        assert self._producer is not None
        ours = [
            ("reason", reason.encode()),
            ("source", source.encode()),
            ("timestamp", str(record.timestamp).encode()),
            ("version", VERSION.encode()),
        ]
        key, value = record.key, record.value
        headers = ours + [(name, text) for name, text in record.headers if name not in _OURS]
        if not await fits(QUARANTINE_LIMIT, key, value, headers):
            headers = ours + _kept_headers(record)
            key = key if len(key or b"") <= _MAX_KEPT_KEY else None
            value = value and value[:_KEPT_BYTES]
        return await send_anything(
            self._producer, self._topic, key=key, value=value, headers=headers
        )


def _kept_headers(record: Any) -> list[tuple[str, bytes]]:
    """Those of a copy that is cut, beside ours: where it first stood, how large it was."""
    origins = [
        (name, text)
        for name, text in record.headers
        if name == ORIGIN_HEADER and text and len(text) <= _MAX_KEPT_KEY
    ]
    return [*origins[:1], cut_from(record.value)]


_OURS = frozenset(("reason", "source", "timestamp", "version"))

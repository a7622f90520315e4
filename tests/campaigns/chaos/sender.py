"""The platform: sends lines until each is acknowledged, whatever happens to the brokers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from audit_stream.kafka.anything import send_anything
from tests.campaigns.chaos.traffic import Line

_LIMIT_SECONDS = 240.0
_REQUEST_BYTES = 1_040_000


class Sender:
    """An idempotent producer; a new one where one has failed, which may send a line again."""

    def __init__(self, bootstrap: Sequence[str]) -> None:
        self._bootstrap = list(bootstrap)
        self._producer: AIOKafkaProducer | None = None
        self.sent: list[Line] = []  # acknowledged

    async def send(self, lines: Sequence[Line]) -> None:
        """Return when all are acknowledged. `AssertionError` after four minutes."""
        deadline, left = time.monotonic() + _LIMIT_SECONDS, list(lines)
        while left:
            try:
                left = await self._try(left)
            except (KafkaError, OSError):
                await self.restart()
            assert time.monotonic() < deadline, f"{len(left)} lines cannot be sent"

    async def _try(self, lines: list[Line]) -> list[Line]:
        """Those that were not acknowledged."""
        producer = await self._ready()
        futures = [
            await send_anything(
                producer, line.topic, key=line.key, value=line.value, headers=[],
                partition=line.partition,
            )
            for line in lines
        ]  # fmt: skip
        results = await asyncio.gather(*futures, return_exceptions=True)
        failed = [isinstance(each, BaseException) for each in results]
        self.sent += [line for line, bad in zip(lines, failed, strict=True) if not bad]
        if any(failed):
            await self.restart()
        return [line for line, bad in zip(lines, failed, strict=True) if bad]

    async def _ready(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap, acks="all", enable_idempotence=True,
                request_timeout_ms=30_000, max_request_size=_REQUEST_BYTES,
                max_batch_size=100_000, metadata_max_age_ms=5_000,
            )  # fmt: skip
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def restart(self) -> None:
        """Let go of the producer: the next one knows nothing of topics that were."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                await asyncio.wait_for(producer.stop(), 10)
            except (KafkaError, OSError, TimeoutError):
                return

"""A pipeline at work on two partitions, without a broker."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

from faust.types import TP

from audit_stream.archive.streams import found_stream
from audit_stream.evidence.layout import segment_folder
from audit_stream.evidence.rawmac import raw_key
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.privacy.keytree import Cover, path_of
from audit_stream.seal.builder import Limits, Origin
from audit_stream.seal.judge import Chunk
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.memory_subjects import MemorySubjectStore
from audit_stream.stream.context import Brake, Context
from audit_stream.stream.lane import Lane
from audit_stream.stream.pipeline import Pipeline
from audit_stream.stream.transport import BatchConsumer
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.metrics import Metrics
from tests.support import golden

TOPIC = golden.TOPICS[0]
ONE, TWO = TP(TOPIC, 0), TP(TOPIC, 1)


class SlowStore(MemoryWormStore):
    """Holds reads of one partition up."""

    def __init__(self) -> None:
        super().__init__()
        self.slow: str | None = None
        self.go, self.there = asyncio.Event(), asyncio.Event()

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        await self._wait(prefix)
        return await super().names(prefix, after=after, limit=limit)

    async def get(self, name: str) -> bytes | None:
        await self._wait(name)
        return await super().get(name)

    async def _wait(self, name: str) -> None:
        if self.slow is not None and name.startswith(self.slow):
            self.there.set()
            await self.go.wait()


@dataclass
class Working:
    """A pipeline at work on two partitions."""

    pipeline: Pipeline
    consumer: BatchConsumer
    store: SlowStore
    died: list[str] = field(default_factory=list)

    def newer(self) -> Context:
        """The context of the next epoch, somebody erased."""
        context = self.pipeline.context
        epoch = context.keyring.epoch + 1
        return replace(
            context, keyring=replace(context.keyring, epoch=epoch),
            cover=memoryview(Cover(golden.COVER).puncture([path_of(bytes(range(16)))])),
            origin=replace(context.origin, key_epoch=epoch),
        )  # fmt: skip

    def fetched(self, tp: TP, begin: int, end: int) -> Any:
        self.consumer.expected[tp] = begin
        records: list[Any] = golden.raw_records(TOPIC)[begin:end]
        return self.consumer._to_batch(tp, records, end, self.consumer.app.consumer_generation_id)

    async def judged(self, message: Any) -> list[tuple[Lane, Chunk]]:
        return [each async for each in self.pipeline.ingest(message)]

    def hold_up(self, tp: TP) -> None:
        self.store.slow = segment_folder(tp.topic, 1, tp.partition)


def context_of(store: MemoryWormStore, died: list[str], cover: memoryview) -> Context:
    ring = golden.KEYRING
    assert ring.segment_key is not None
    return Context(
        store=store, subjects=MemorySubjectStore(), signer=LineSigner(ring.segment_key),
        trusted=TrustedKeys(LineSigner(ring.segment_key).public), keyring=ring, cover=cover,
        status_map=golden.STATUS_MAP,
        origin=Origin(
            archive=ring.archive, assurance="mutable", writer="audit-stream/test",
            status_map=golden.STATUS_MAP.hash, key_epoch=1, raw_key=raw_key(ring.index_key),
        ),
        limits=Limits(records=1000, size=1 << 20, age_ms=1000), brake=Brake(1.0, 1000),
        memory_budget=1 << 20, regulatory_tags={TOPIC: "COMPLIANCE_ARCHIVE_V1"}, placeholders=(),
        metrics=Metrics(), alerts=AlarmBoard("worker"), monotonic_ms=lambda: 0,
        wall_ms=lambda: golden.FIRST_MS, nonce=bytes,
        die=lambda code, reason: died.append(reason),
    )  # fmt: skip


async def stream_in(store: MemoryWormStore) -> StreamObject:
    assert golden.KEYRING.segment_key is not None
    signer = LineSigner(golden.KEYRING.segment_key)
    return await found_stream(
        store, signer, TrustedKeys(signer.public), archive=golden.KEYRING.archive, topic=TOPIC,
        genesis=[0, 0], topic_id=None,
    )  # fmt: skip

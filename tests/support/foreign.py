"""Records as clients of other languages write them, which ours refuses to."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy


class Latin1(str):
    """A header's name that goes out in ISO 8859-1."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return super().encode("latin-1")


def foreign_builder(compression: int = 0) -> Any:
    """A builder of record batches that takes `Latin1` names; `compression` as in KIP-98."""
    return _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, -1, 1 << 20)


async def send_foreign(producer: AIOKafkaProducer, topic: str, partition: int, *lines: Any) -> None:
    """One batch of (key, value, headers), with `Latin1` names."""
    batch = producer.create_batch()
    batch._builder = foreign_builder()
    for key, value, headers in lines:
        assert batch.append(key=key, value=value, timestamp=None, headers=headers) is not None
    batch.close()
    await (await producer.send_batch(batch, topic, partition=partition))

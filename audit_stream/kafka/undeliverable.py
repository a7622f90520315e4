"""Writing ``audit-undeliverable``, and reading it from a position on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from audit_stream.kafka.connect import KafkaConnection, translated
from audit_stream.kafka.writing import write_records

TOPIC = "audit-undeliverable"
_SECONDS_EACH, _SECONDS = 0.1, 30.0
_FETCH_MS = 2000


async def write_undeliverable(
    connection: KafkaConnection, entries: Sequence[tuple[bytes, bytes]]
) -> None:
    """Write keys and values, in order; every in-sync replica has them on return. `BrokerError`,
    `TopicError`."""
    limit = _SECONDS + _SECONDS_EACH * len(entries)
    await write_records(connection, TOPIC, entries, limit=limit)


async def read_undeliverable(
    connection: KafkaConnection, ranges: Mapping[int, tuple[int, int]]
) -> AsyncIterator[tuple[int, int, bytes]]:
    """Partition, offset and value of each entry in ``[start, end)`` of each partition, in order."""
    wanted = {at: (start, end) for at, (start, end) in ranges.items() if start < end}
    if not wanted:  # a consumer that is stopped before it did anything raises CancelledError
        return
    async with translated(connection):
        consumer = AIOKafkaConsumer(
            **connection.client_options(), enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            for partition, (start, end) in wanted.items():
                tp = TopicPartition(TOPIC, partition)
                consumer.assign([tp])
                consumer.seek(tp, start)
                while await consumer.position(tp) < end:
                    for record in (await consumer.getmany(tp, timeout_ms=_FETCH_MS)).get(tp, ()):
                        if record.offset < end:
                            yield partition, record.offset, record.value or b""
        finally:
            await consumer.stop()

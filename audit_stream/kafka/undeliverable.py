"""Writing ``audit-undeliverable``, and reading it from a position on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.reading import read_ranges
from audit_stream.kafka.writing import write_records

TOPIC = "audit-undeliverable"
_SECONDS_EACH, _SECONDS = 0.1, 30.0


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
    places = {(TOPIC, partition): span for partition, span in ranges.items()}
    async for record in read_ranges(connection, places):
        yield record.partition, record.offset, record.value or b""

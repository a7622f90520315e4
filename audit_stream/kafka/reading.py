"""Reading what lies in a topic of ours now, outside the pipeline and outside any group."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from audit_stream.kafka.connect import KafkaConnection, translated

_FETCH_MS = 2000


async def read_ranges(
    connection: KafkaConnection, ranges: Mapping[tuple[str, int], tuple[int, int]]
) -> AsyncIterator[ConsumerRecord]:
    """The records in ``[start, end)`` of each (topic, partition), one partition after another.

    `BrokerError`, `TopicError`.
    """
    wanted = {at: (start, end) for at, (start, end) in ranges.items() if start < end}
    if not wanted:  # a consumer that is stopped before it did anything raises CancelledError
        return
    async with translated(connection):
        consumer = AIOKafkaConsumer(
            **connection.client_options(), enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            for (topic, partition), (start, end) in wanted.items():
                tp = TopicPartition(topic, partition)
                consumer.assign([tp])
                consumer.seek(tp, start)
                while await consumer.position(tp) < end:
                    for record in (await consumer.getmany(tp, timeout_ms=_FETCH_MS)).get(tp, ()):
                        if record.offset < end:
                            yield record
        finally:
            await consumer.stop()

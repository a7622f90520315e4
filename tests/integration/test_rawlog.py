"""Reading a raw partition beside the fleet, on a real broker."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.admin.records_to_delete import RecordsToDelete

from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.rawlog import log_bounds, offsets_at, open_raw_log
from tests.support.foreign import Latin1, send_foreign

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


@pytest.fixture
async def topic(connection: KafkaConnection, fresh: str) -> str:
    """The broker keeps what it holds, however old its times say it is."""
    async with open_admin(connection) as admin:
        await admin.create_topics([NewTopic(fresh, 1, 1, topic_configs={"retention.ms": "-1"})])
    return fresh


async def send(connection: KafkaConnection, topic: str, count: int, **options: object) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=connection.servers, **options)
    await producer.start()
    try:
        for number in range(count):
            await producer.send_and_wait(topic, b"%d" % number, partition=0, timestamp_ms=number)
    finally:
        await producer.stop()


async def test_what_is_committed_is_read_and_holes_are_covered(
    connection: KafkaConnection, topic: str
) -> None:
    await send(connection, topic, 5)
    producer = AIOKafkaProducer(bootstrap_servers=connection.servers, transactional_id=topic)
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"aborted", partition=0)
    await producer.abort_transaction()
    async with producer.transaction():
        await producer.send_and_wait(topic, b"committed", partition=0)
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"open", partition=0)
    async with open_raw_log(connection, topic, 0, "test") as log:
        assert await log.bounds() == (0, 9)  # 5 records, aborted, marker, committed, marker
        batches = [batch async for batch in log.batches(2, 9)]
        again = [batch async for batch in log.batches(0, 3)]
    await producer.abort_transaction()
    await producer.stop()
    assert (batches[0].base, batches[-1].next) == (2, 9)
    values = [bytes(record.value) for batch in batches for record in batch.records]
    assert values == [b"2", b"3", b"4", b"committed"]
    assert again[0].records[0].offset == 0


async def test_what_retention_deleted_is_told_from_what_was_never_there(
    connection: KafkaConnection, topic: str
) -> None:
    await send(connection, topic, 10)
    async with open_admin(connection) as admin:
        place = TopicPartition(topic, 0)
        await admin.delete_records({place: RecordsToDelete(before_offset=6)})
    async with open_raw_log(connection, topic, 0, "test") as log:
        first, second = [batch async for batch in log.batches(2, 10)]
    assert (first.base, first.next, first.lost_before, len(first.records)) == (2, 6, 6, 0)
    assert (second.base, second.next, second.lost_before) == (6, 10, 0)


async def test_bounds_and_times(connection: KafkaConnection, topic: str) -> None:
    await send(connection, topic, 10)
    assert await log_bounds(connection, topic, 1, "test") == [(0, 10)]
    assert await offsets_at(connection, topic, 1, 4, "test") == [4]
    assert await offsets_at(connection, topic, 1, 1_000, "test") == [10]


async def test_a_header_name_that_is_not_utf8_is_read_over(
    connection: KafkaConnection, topic: str
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=connection.servers)
    await producer.start()
    try:
        odd = [(Latin1("caf\xe9"), b"1")]
        lines = [(None, b"0", []), (None, b"1", odd), (None, b"2", [])]
        await send_foreign(producer, topic, 0, *lines)
    finally:
        await producer.stop()
    async with open_raw_log(connection, topic, 0, "test") as log:
        records = [record async for batch in log.batches(0, 3) for record in batch.records]
    assert [record.value for record in records] == [b"0", b"1", b"2"]
    assert records[1].headers == [("caf\\xe9", b"1")]

"""What lies in a topic now, on a real broker: empty partitions, and ends that move meanwhile."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from aiokafka.admin import NewTopic

from audit_stream.kafka.ask import topic_ends
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.reading import read_ranges
from audit_stream.kafka.writing import write_records

pytestmark = pytest.mark.kafka
Ends = Mapping[tuple[str, int], tuple[int, int]]


@pytest.fixture
async def topic(connection: KafkaConnection, fresh: str) -> str:
    async with open_admin(connection) as admin:
        await admin.create_topics([NewTopic(fresh, 3, 1)])
    return fresh


async def values(connection: KafkaConnection, ends: Ends) -> list[bytes]:
    return [record.value async for record in read_ranges(connection, ends)]


async def test_nothing_lies_in_an_empty_topic(connection: KafkaConnection, topic: str) -> None:
    assert await values(connection, await topic_ends(connection, [topic])) == []


async def test_what_came_after_the_look_is_left_out(
    connection: KafkaConnection, topic: str
) -> None:
    """Some partitions are empty beside it, too."""
    await write_records(connection, topic, [(b"key", b"one"), (b"key", b"two")])
    ends = await topic_ends(connection, [topic])
    await write_records(connection, topic, [(b"key", b"three")])
    assert await values(connection, ends) == [b"one", b"two"]
    now = await topic_ends(connection, [topic])
    since = {at: (end, now[at][1]) for at, (_, end) in ends.items()}
    assert await values(connection, since) == [b"three"]

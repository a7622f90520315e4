"""Hints of stored segments on a real broker: they come, and losing them costs only time."""

from __future__ import annotations

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.hints import TOPIC, HintReader
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


async def test_a_worker_hints_at_each_segment_and_a_reader_hears_it(fleet: Fleet) -> None:
    reader = HintReader(KafkaConnection.from_settings(fleet.settings))
    reader.start()
    try:
        assert reader.take() is None  # nobody knows what was before

        async def listening() -> bool:
            return reader.take() is not None

        await eventually(listening, 60)
        fleet.start(0)
        await fleet.send(Events(71, fleet.topic).lines(600))
        await fleet.settled()
        names = list((fleet.settings.archive_path / "segments").rglob("*.gz"))

        async def heard() -> bool:
            return reader.count >= len(names)

        await eventually(heard, 60)
        ours = {place for place in reader.take() or () if place[0] == fleet.topic}
        assert ours == {(fleet.topic, 1, 0), (fleet.topic, 1, 1)}
        assert reader.take() == frozenset()
    finally:
        await reader.stop()
    hints = await sent(fleet)
    assert len(hints) == len(names)
    for hint in hints:
        base = f"{hint['base']:020d}"
        assert any(path.name.startswith(base) for path in names)


async def test_what_anybody_writes_there_harms_nobody(fleet: Fleet) -> None:
    reader = HintReader(KafkaConnection.from_settings(fleet.settings))
    reader.start()
    try:

        async def listening() -> bool:
            return reader.take() is not None

        await eventually(listening, 60)
        producer = AIOKafkaProducer(bootstrap_servers=fleet.settings.bootstrap_servers)
        await producer.start()
        for value in (b"", b"[]", b"{", b"null", b'{"topic":1}', None):
            await producer.send_and_wait(TOPIC, value, b"k")
        good = {"topic": fleet.prefix, "generation": 1, "partition": 3}
        await producer.send_and_wait(TOPIC, orjson.dumps(good), b"k")
        await producer.stop()
        found: set[tuple[str, int, int]] = set()

        async def heard() -> bool:
            found.update(reader.take() or ())
            return (fleet.prefix, 1, 3) in found

        await eventually(heard, 60)
    finally:
        await reader.stop()


async def sent(fleet: Fleet) -> list[dict[str, object]]:
    """The hints of this fleet's topic."""
    consumer = AIOKafkaConsumer(
        TOPIC, bootstrap_servers=fleet.settings.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    found = []
    try:
        while batch := await consumer.getmany(timeout_ms=2000):
            records = [record for part in batch.values() for record in part]
            values = [orjson.loads(r.value) for r in records if r.value and r.value[:1] == b"{"
                      and r.value != b"{"]  # fmt: skip
            found += [hint for hint in values if hint.get("topic") == fleet.topic]
    finally:
        await consumer.stop()
    return found

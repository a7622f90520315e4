"""The promises on bad days: real workers, a real Kafka, a file archive, and an outside oracle."""

from __future__ import annotations

import signal
from collections import Counter

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.stream.context import STEPS
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_p1_p2_a_fleet_with_kills_stops_and_joins_archives_all_once(
    fleet: Fleet, seed: int
) -> None:
    events = Events(seed, fleet.topic)
    fleet.start(0)
    fleet.start(1)
    await fleet.send(events.lines(3000))
    await eventually(lambda: fleet.archived(300))
    await fleet.kill(0)
    await fleet.send(events.lines(2000))
    fleet.start(2)
    await fleet.send(events.lines(2000))
    await eventually(lambda: fleet.archived(1000), 60)
    assert await fleet.stop(1) == 0
    fleet.start(0)
    await fleet.send(events.lines(2000))
    await fleet.check(events.oracle)


@pytest.mark.slow
async def test_p1_p2_killed_before_and_after_each_step(fleet: Fleet) -> None:
    events = Events(7, fleet.topic)
    for step in STEPS:
        for when in ("before", "after"):
            await fleet.send(events.lines(400))
            fleet.start(0, "kill", step, when, "2")
            assert await fleet.ended(0) == -signal.SIGKILL, fleet.log()
    fleet.start(0)
    await fleet.check(events.oracle)


async def test_p2_a_worker_frozen_past_its_session_adds_nothing_when_it_wakes(
    fleet: Fleet,
) -> None:
    events = Events(11, fleet.topic)
    sleeper = fleet.start(0)
    await fleet.send(events.lines(1500))
    await eventually(lambda: fleet.archived(100))
    sleeper.send_signal(signal.SIGSTOP)
    fleet.start(1)
    await fleet.send(events.lines(1500))
    await fleet.settled(90)
    sleeper.send_signal(signal.SIGCONT)
    await fleet.send(events.lines(1500))
    await fleet.check(events.oracle, 90)


async def test_p8_a_store_that_fails_before_and_after_taking_the_bytes_loses_nothing(
    fleet: Fleet,
) -> None:
    events = Events(13, fleet.topic)
    fleet.start(0, "faulty-store")
    await fleet.send(events.lines(3000))
    await fleet.check(events.oracle, 90)


async def test_p2_an_empty_disk_and_a_lost_group_change_nothing(fleet: Fleet) -> None:
    events = Events(17, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(2000))
    await fleet.settled()
    assert await fleet.stop(0) == 0
    async with open_admin(KafkaConnection.from_settings(fleet.settings)) as admin:
        await admin.delete_topics([f"{fleet.prefix}-precedence-changelog"])
    await eventually(lambda: gone(fleet, f"{fleet.prefix}-precedence-changelog"))
    await fleet.prepare()
    fleet.app = f"{fleet.prefix}-again"  # another group: no committed offsets, no changelog
    await fleet.prepare()
    fleet.start(3)  # another index: an empty state directory
    await fleet.send(events.lines(2000))
    await fleet.check(events.oracle)


async def test_p1_markers_of_a_transactional_platform_are_covered_as_absent(fleet: Fleet) -> None:
    events = Events(19, fleet.topic)
    fleet.start(0)
    producer = AIOKafkaProducer(
        bootstrap_servers=fleet.settings.bootstrap_servers, transactional_id=fleet.prefix
    )
    await producer.start()
    for _ in range(5):
        async with producer.transaction():
            for key, value in events.lines(100):
                await producer.send(fleet.topic, value, key)
    lost = Events(20, fleet.topic)
    await producer.begin_transaction()
    for key, value in lost.lines(50):
        await producer.send(fleet.topic, value, key)
    await producer.flush()
    await producer.abort_transaction()
    await producer.stop()
    coverage = await fleet.check(events.oracle)
    assert coverage.totals()["x"] >= 50


async def test_p3_the_same_log_archived_twice_gives_the_same_lines(fleet: Fleet) -> None:
    events = Events(23, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(3000))
    await fleet.check(events.oracle)
    await fleet.stop(0)
    again = Fleet(
        fleet.broker, fleet.folder, fleet.prefix, archive="second", app=f"{fleet.prefix}-2",
        extra={"AUDIT_SEGMENT_MAX_RECORDS": "37"},
    )  # fmt: skip
    await again.prepare()
    for name in ("streams", "maps"):
        source, target = (f.settings.archive_path / name for f in (fleet, again))
        for path in source.rglob("*.json"):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    try:
        again.start(0, "kill", "put", "after", "3")
        await again.ended(0)
        again.start(1)
        again.start(2)
        await again.check(events.oracle)
    finally:
        await again.close()
    assert sorted(fleet.lines()) == sorted(again.lines())


async def test_a_rekeyed_topic_is_archived_through_its_twin(fleet: Fleet) -> None:
    fleet.extra = {"AUDIT_REKEY_TOPICS": fleet.topic}
    await fleet.prepare()
    events = Events(29, fleet.topic)
    fleet.start(0)
    fleet.start(1)
    # Keyed by something else, so in one partition: the order of a message's events is kept.
    await fleet.send([(b"tenant_a", value) for _, value in events.lines(1500)])
    await fleet.kill(0)
    await fleet.send([(b"tenant_a", value) for _, value in events.lines(1500)])
    await eventually(lambda: copied(fleet, 3000), 60)
    await fleet.settled()
    pubs = [orjson.loads(line)["pub"] for line in fleet.lines()]
    assert Counter((p["message_uuid"], p["delivery_status"]) for p in pubs) == Counter(
        events.oracle.archived
    )
    assert all(pub["origin"].startswith(f"{fleet.topic}/") for pub in pubs)
    assert fleet.verify().problems == []


async def test_a_rekeyed_topic_with_a_backlog_is_copied(fleet: Fleet) -> None:
    """Fetches then wait in the client when they are asked for, and come by the batch."""
    fleet.extra = {"AUDIT_REKEY_TOPICS": fleet.topic}
    await fleet.prepare()
    events = Events(73, fleet.topic)
    await fleet.send([(b"tenant_a", value) for _, value in events.lines(20_000)])
    fleet.start(0)
    await eventually(lambda: copied(fleet, 20_000), 60)
    await fleet.check(events.oracle)
    assert await fleet.stop(0) == 0


async def copied(fleet: Fleet, count: int) -> bool:
    from audit_stream.kafka.ask import topic_ends

    connection = KafkaConnection.from_settings(fleet.settings)
    ends = await topic_ends(connection, [f"{fleet.topic}-rekeyed"])
    return sum(end for _, end in ends.values()) >= count


async def gone(fleet: Fleet, topic: str) -> bool:
    from audit_stream.kafka.ask import topic_partitions

    return topic not in await topic_partitions(
        KafkaConnection.from_settings(fleet.settings), [topic]
    )

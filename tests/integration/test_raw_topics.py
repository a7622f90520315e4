"""Raw topics that are not what they were: recreated under a running worker, or cut by retention."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions
from aiokafka.admin.records_to_delete import RecordsToDelete

from audit_stream.archive.streams import found_stream
from audit_stream.kafka.ask import committed_by, topic_ends
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.keys.file import load_keyring
from audit_stream.stores.file import FileStore
from tests.integration.test_bad_days import answers, missing, page, run
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import NAME, Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


async def alarmed(port: int, key: str) -> bool:
    if not await asyncio.to_thread(answers, port, "/healthz"):
        return False  # not started yet
    found = orjson.loads(await asyncio.to_thread(page, port, "/alarms"))
    return any(alarm["key"].startswith(key) for alarm in found)


async def test_a_topic_recreated_under_a_running_worker_stops_with_an_alarm(fleet: Fleet) -> None:
    port = fleet.serve()
    events = Events(83, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(1000))
    await fleet.check(events.oracle)
    before = fleet.lines()
    async with open_admin(KafkaConnection.from_settings(fleet.settings)) as admin:
        await admin.delete_topics([fleet.topic])
    await eventually(lambda: missing(fleet))
    await fleet.prepare()
    await fleet.send(Events(84, fleet.topic).lines(200))
    await eventually(lambda: alarmed(port, f"raw-topic:{fleet.topic}"), 60)
    assert fleet.lines() == before  # nothing of the new topic under the old one's offsets
    assert fleet.verify().problems == []


async def test_a_topic_repartitioned_under_a_running_worker_stops_with_an_alarm(
    fleet: Fleet,
) -> None:
    port = fleet.serve()
    events = Events(97, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(500))
    await fleet.check(events.oracle)
    async with open_admin(KafkaConnection.from_settings(fleet.settings)) as admin:
        await admin.create_partitions({fleet.topic: NewPartitions(total_count=3)})
    await eventually(lambda: alarmed(port, f"raw-topic:{fleet.topic}"), 60)
    done = await run(fleet, "verify")
    assert done.returncode == 0
    await fleet.stop(0)
    again = await run(fleet, "worker")
    assert again.returncode == 2
    assert "has 3 partitions, AUDIT_PARTITIONS says 2" in again.stderr


async def test_a_topic_that_ends_below_the_archive_stops_with_an_alarm(fleet: Fleet) -> None:
    """Truncated, or recreated where the broker gives topics no id."""
    port = fleet.serve()
    settings = fleet.settings
    ring = load_keyring(settings.keyring)
    await found_stream(
        FileStore(settings.archive_path), ring.signer, ring.trusted, archive=NAME,
        topic=fleet.topic, genesis=[0, 0], topic_id=None,
    )  # fmt: skip
    events = Events(101, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(1000))
    await fleet.check(events.oracle)
    await fleet.stop(0)
    before = fleet.lines()
    async with open_admin(KafkaConnection.from_settings(settings)) as admin:
        await admin.delete_topics([fleet.topic])
    await eventually(lambda: missing(fleet))
    await fleet.prepare()
    await fleet.send(Events(102, fleet.topic).lines(100))
    fleet.start(0)
    await eventually(lambda: alarmed(port, f"raw-topic:{fleet.topic}/0"), 60)
    await eventually(lambda: alarmed(port, f"raw-topic:{fleet.topic}/1"), 60)
    assert fleet.lines() == before


async def test_p1_what_retention_deleted_is_counted_as_lost_with_an_alarm(fleet: Fleet) -> None:
    port = fleet.serve()
    events = Events(89, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(400))
    covered = await fleet.check(events.oracle)
    await fleet.stop(0)
    unseen = Events(90, fleet.topic)
    await fleet.send(unseen.lines(300))
    ends = {place: found.end for place, found in covered.partitions.items()}
    async with open_admin(KafkaConnection.from_settings(fleet.settings)) as admin:
        await admin.delete_records({
            TopicPartition(topic, partition): RecordsToDelete(before_offset=end + 20)
            for (topic, partition), end in ends.items()
        })  # fmt: skip
    fleet.start(0)
    coverage = await fleet.settled()
    assert coverage.totals()["l"] == 20 * len(ends)
    assert coverage.unexplained == 0
    await eventually(lambda: alarmed(port, f"lost:{fleet.topic}/"))
    assert fleet.verify().problems == []
    statuses = Counter(orjson.loads(line)["pub"]["message_uuid"] for line in fleet.lines())
    assert statuses


async def test_p1_what_retention_deleted_of_a_rekeyed_topic_is_told_for_good(fleet: Fleet) -> None:
    """No ledger covers its offsets: the group's position moves on, and reconcile knows all the
    same."""
    port = fleet.serve()
    events = Events(97, fleet.topic)
    await copied_and_stopped(fleet, events, 400)
    await fleet.send([(b"tenant_a", value) for _, value in events.lines(300)])
    connection = KafkaConnection.from_settings(fleet.settings)
    [(place, end)] = [
        (TopicPartition(*place), end)
        for place, (_, end) in (await topic_ends(connection, [fleet.topic])).items() if end
    ]  # fmt: skip
    lost = {"topic": fleet.topic, "partition": place.partition, "count": 20, "first": 400,
            "next": 420}  # fmt: skip
    async with open_admin(connection) as admin:
        await admin.delete_records({place: RecordsToDelete(before_offset=420)})
    assert await reconciled(fleet) == (1, [lost], end - 420)
    fleet.start(0)
    await fleet.settled()
    await eventually(lambda: alarmed(port, f"lost:{fleet.topic}/{place.partition}"))
    assert await reconciled(fleet) == (1, [lost], 0)
    await fleet.stop(0)
    fleet.start(0)
    await fleet.send([(b"tenant_a", value) for _, value in events.lines(50)])
    await eventually(lambda: copied(fleet, 730))
    await fleet.settled()
    await fleet.stop(0)
    await fleet.send([(b"tenant_a", value) for _, value in events.lines(30)])
    async with open_admin(connection) as admin:  # with nothing behind the loss
        await admin.delete_records({place: RecordsToDelete(before_offset=end + 80)})
    fleet.start(0)
    await eventually(lambda: committed(fleet, place, end + 80))
    again = lost | {"count": 50, "next": end + 80}
    assert await reconciled(fleet) == (1, [again], 0)
    assert fleet.verify().problems == []


async def copied_and_stopped(fleet: Fleet, events: Events, count: int) -> None:
    """The topic is rekeyed, so much of it is copied and archived, and its worker ended."""
    fleet.extra |= {"AUDIT_REKEY_TOPICS": fleet.topic}
    await fleet.prepare()
    fleet.start(0)
    await fleet.send([(b"tenant_a", value) for _, value in events.lines(count)])
    await eventually(lambda: copied(fleet, count))
    await fleet.settled()
    await fleet.stop(0)


async def copied(fleet: Fleet, count: int) -> bool:
    connection = KafkaConnection.from_settings(fleet.settings)
    ends = await topic_ends(connection, [f"{fleet.topic}-rekeyed"])
    return sum(end for _, end in ends.values()) >= count


async def committed(fleet: Fleet, place: TopicPartition, offset: int) -> bool:
    connection = KafkaConnection.from_settings(fleet.settings)
    found = await committed_by(connection, fleet.settings.app_id)
    return found.get(tuple(place), (0, ""))[0] == offset


async def reconciled(fleet: Fleet) -> tuple[int, list[Any], int]:
    """Exit code, what was lost before it was copied, and what is still to be copied."""
    done = await run(fleet, "reconcile", "--json")
    answer = orjson.loads(done.stdout)
    return done.returncode, answer["lost_before_copying"], answer["not_copied"]

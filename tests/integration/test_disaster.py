"""The disaster drill (`make drill`): what can be lost beside the archive, and going on by the book.

docs/how-to/disaster-recovery.md gives the same commands. Every step is judged from outside, and its
time told. AUDIT_DRILL_EVENTS sets how many events come before and after each loss.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.protocol.admin import DeleteGroupsRequest

from audit_stream.app.topics import changelog_topic
from audit_stream.errors import BrokerError, ConfigError
from audit_stream.kafka.ask import topic_ends
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.embedded import EmbeddedKafka
from tests.integration.conftest import not_run
from tests.integration.test_bad_days import run
from tests.integration.test_fleet import gone
from tests.support.events import Events, Oracle
from tests.support.eventually import eventually
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]
EVENTS = int(os.environ.get("AUDIT_DRILL_EVENTS", "1000"))
LIMIT = 60 + EVENTS / 500
WORKERS = (0, 1)
Loss = Callable[[Fleet], Awaitable[None]]


def connection(fleet: Fleet) -> KafkaConnection:
    return KafkaConnection.from_settings(fleet.settings)


@asynccontextmanager
async def step(name: str) -> AsyncIterator[None]:
    began = time.monotonic()
    yield
    print(f"\n  {name}: {time.monotonic() - began:.1f} s", end="")


async def command(fleet: Fleet, *words: str) -> str:
    """A command of the book; it must succeed."""
    done = await run(fleet, *words)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def start(fleet: Fleet) -> None:
    for index in WORKERS:
        fleet.start(index)


async def stop(fleet: Fleet) -> None:
    codes = await asyncio.gather(*(fleet.stop(index) for index in WORKERS))
    assert codes == [0] * len(WORKERS), fleet.log()


# -- a cluster that goes on living


async def lose_changelog(fleet: Fleet) -> None:
    changelog = changelog_topic(fleet.settings)
    async with open_admin(connection(fleet)) as admin:
        await admin.delete_topics([changelog])
    await eventually(lambda: gone(fleet, changelog))


async def lose_group(fleet: Fleet) -> None:
    await eventually(lambda: group_is_deleted(fleet))  # members are remembered for their session


async def group_is_deleted(fleet: Fleet) -> bool:
    group = fleet.settings.app_id
    async with open_admin(connection(fleet)) as admin:
        coordinator = await admin.find_coordinator(group)
        answer = await admin._send_request(DeleteGroupsRequest([group]), coordinator)
        deleted = [code for _, code in answer.results] == [0]
        return deleted and not await admin.list_consumer_group_offsets(group)


async def lose_disks(fleet: Fleet) -> None:
    for index in WORKERS:
        shutil.rmtree(fleet.folder / f"{fleet.archive}-state-{index}")


async def lose_all(fleet: Fleet) -> None:
    for lose in (lose_changelog, lose_group, lose_disks):
        await lose(fleet)


async def test_the_drill_on_a_living_cluster(fleet: Fleet) -> None:
    events = Events(307, fleet.topic)
    start(fleet)
    await fleet.send(events.lines(EVENTS))
    await fleet.check(events.oracle, LIMIT)
    losses: dict[str, Loss] = {
        "changelog": lose_changelog, "consumer group": lose_group, "state disks": lose_disks,
        "all three": lose_all,
    }  # fmt: skip
    for name, lose in losses.items():
        await stop(fleet)
        await fleet.send(events.lines(EVENTS // 2))  # the platform does not wait
        await lose(fleet)
        async with step(f"{name} lost; back and level"):
            await command(fleet, "topics", "apply")
            start(fleet)
            await fleet.settled(LIMIT)
        await fleet.send(events.lines(EVENTS))  # old messages rise further, or come again
        await fleet.check(events.oracle, LIMIT)
    await command(fleet, "reconcile")
    await command(fleet, "verify")


# -- a cluster that is gone


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[EmbeddedKafka]:
    broker = EmbeddedKafka(folder)
    try:
        await broker.start()
    except (BrokerError, ConfigError) as error:
        not_run(error)
    try:
        yield broker
    finally:
        await broker.stop()


Kept = dict[int, list[tuple[bytes | None, bytes | None]]]


async def mirror_out(fleet: Fleet) -> Kept:
    """What a mirror of the cluster holds: keys and values by partition, in order."""
    ends = await topic_ends(connection(fleet), [fleet.topic])
    tps = {TopicPartition(*place): end for place, (_, end) in ends.items()}
    consumer = AIOKafkaConsumer(**connection(fleet).client_options(), enable_auto_commit=False)
    await consumer.start()
    kept: Kept = defaultdict(list)
    try:
        consumer.assign(list(tps))
        await consumer.seek_to_beginning()
        while sum(map(len, kept.values())) < sum(tps.values()):
            for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                kept[tp.partition] += [(record.key, record.value) for record in records]
    finally:
        await consumer.stop()
    return kept


async def mirror_in(fleet: Fleet, kept: Kept) -> None:
    producer = AIOKafkaProducer(**connection(fleet).client_options(), acks="all")
    await producer.start()
    try:
        for partition, records in kept.items():
            futures = [
                await producer.send(fleet.topic, value, key, partition) for key, value in records
            ]
            await asyncio.gather(*futures)
    finally:
        await producer.stop()


async def go_on(fleet: Fleet, broker: EmbeddedKafka, reason: str) -> None:
    """The book's way to a new cluster, whose raw topic is there already."""
    fleet.broker = broker.url
    async with step(f"{reason}: commands"):
        await command(fleet, "topics", "apply")
        words = ("topics", "new-generation", fleet.topic, "--reason", reason)
        assert "cannot be known" in await command(fleet, *words, "--dry-run")
        await command(fleet, *words, "--yes")
    async with step(f"{reason}: back and level"):
        start(fleet)
        await fleet.settled(LIMIT)


async def check(fleet: Fleet, *oracles: Oracle) -> None:
    """Each (tenant, message, status) once a stream; what each generation must hold, and verify."""
    coverage = await fleet.settled(LIMIT)
    assert coverage.unexplained == 0
    found: dict[int, Counter[tuple[str, str]]] = defaultdict(Counter)
    for line in fleet.lines():
        pub = orjson.loads(line)["pub"]
        number = int(pub["source"].split("/")[1])
        found[number][pub["message_uuid"], pub["delivery_status"]] += 1
    expected = {n: Counter(oracle.archived) for n, oracle in enumerate(oracles, start=1)}
    assert found == expected, fleet.log()
    assert fleet.verify().problems == []
    await command(fleet, "reconcile")
    await command(fleet, "verify")


@pytest.mark.slow
async def test_the_drill_on_a_new_cluster(tmp_path: Path, fresh: str) -> None:
    """First an empty one, then one to which a mirror brought all that the lost one still had."""
    first, second, third = Events(311, "t"), Events(313, "t"), Events(313, "t")
    fleet = Fleet("", tmp_path, fresh)
    try:
        async with cluster(tmp_path / "one") as broker:
            fleet.broker = broker.url
            await fleet.prepare()
            start(fleet)
            await fleet.send(first.lines(EVENTS))
            await check(fleet, first.oracle)
            await stop(fleet)
        async with cluster(tmp_path / "two") as broker:
            fleet.broker = broker.url
            await fleet.prepare()
            await fleet.send(second.lines(EVENTS))
            await go_on(fleet, broker, "cluster lost, a new one")
            await check(fleet, first.oracle, second.oracle)
            await stop(fleet)
            third.lines(EVENTS)  # the same events again: the mirrored history
            await fleet.send(third.lines(EVENTS // 5))  # mirrored, and not archived
            kept = await mirror_out(fleet)
        async with cluster(tmp_path / "three") as broker:
            fleet.broker = broker.url
            await fleet.prepare()
            await mirror_in(fleet, kept)
            await go_on(fleet, broker, "cluster lost, a mirrored one")
            await fleet.send(third.lines(EVENTS))
            await check(fleet, first.oracle, second.oracle, third.oracle)
            await stop(fleet)
    finally:
        await fleet.close()

"""The cluster that chaos happens to: real brokers that are lost, frozen, cut off, and come back."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic

from audit_stream.errors import BrokerError, ConfigError
from audit_stream.kafka.ask import topic_ends
from audit_stream.kafka.connect import KafkaConnection, open_admin
from tests.campaigns.chaos.asking import Partition
from tests.campaigns.chaos.cluster import Cluster
from tests.integration.conftest import not_run
from tests.support.eventually import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(400)]
TOPIC = "chaos"
NODES = {1, 2, 3}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes, and a topic of three partitions."""
    found = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        asyncio.run(found.__aenter__())
        asyncio.run(create(found))
    except (BrokerError, ConfigError) as error:
        not_run(error)
    yield found
    asyncio.run(found.__aexit__(None, None, None))


@pytest.fixture
async def cluster(running: Cluster) -> AsyncIterator[Cluster]:
    """That cluster, whole before and after."""
    await running.healthy()
    yield running
    running.network.heal()
    for n, node in running.nodes.items():
        if node.paused:
            running.resume(n)
        if not node.is_running:
            await running.start(n)


async def create(cluster: Cluster) -> None:
    connection = KafkaConnection.parse(cluster.url)
    async with open_admin(connection) as admin:
        await admin.create_topics([NewTopic(TOPIC, 3, 3)])

    async def led() -> bool:
        leaders = await cluster.leaders(TOPIC)
        return len(leaders) == 3 and -1 not in leaders.values()

    await eventually(led)


@asynccontextmanager
async def producing(cluster: Cluster) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that is told of nothing but what all replicas in sync have."""
    producer = AIOKafkaProducer(
        **KafkaConnection.parse(cluster.url).client_options(),
        enable_idempotence=True, request_timeout_ms=5000,
    )  # fmt: skip
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def acknowledged(producer: AIOKafkaProducer, values: list[bytes]) -> None:
    for index, value in enumerate(values):
        await asyncio.wait_for(producer.send_and_wait(TOPIC, value, partition=index % 3), 60)


async def kept(cluster: Cluster) -> list[bytes]:
    """Everything in the topic."""
    connection = KafkaConnection.parse(cluster.url)
    ends = await topic_ends(connection, [TOPIC])
    consumer = AIOKafkaConsumer(**connection.client_options(), enable_auto_commit=False)
    await consumer.start()
    try:
        parts = [TopicPartition(TOPIC, index) for index in range(3)]
        consumer.assign(parts)
        await consumer.seek_to_beginning()
        total = sum(end for _, end in ends.values())
        return [(await consumer.getone()).value for _ in range(total)]
    finally:
        await consumer.stop()


async def leads_no_more(cluster: Cluster, n: int) -> None:
    """Wait until nothing is led by it."""

    async def gone() -> bool:
        return n not in (await cluster.leaders(TOPIC)).values()

    await eventually(gone)


def values(what: str) -> list[bytes]:
    return [f"{what}-{index}".encode() for index in range(9)]


async def test_everything_is_on_three_nodes_and_acknowledged_by_two(cluster: Cluster) -> None:
    async with producing(cluster) as producer:
        await acknowledged(producer, values("plain"))
    seen = await cluster.nodes[1].seen()
    assert seen is not None
    assert {part.topic for part in seen.partitions} >= {"__consumer_offsets", TOPIC}
    assert all(set(part.replicas) == NODES == part.in_sync for part in seen.partitions)
    async with open_admin(KafkaConnection.parse(cluster.url)) as admin:
        described = await admin.describe_cluster()
    assert {broker["node_id"] for broker in described["brokers"]} == NODES
    assert set(values("plain")) <= set(await kept(cluster))


async def test_leaders_move_where_they_are_told(cluster: Cluster) -> None:
    for shift in range(3):
        wanted = {index: (index + shift) % 3 + 1 for index in range(3)}
        assert await cluster.move_leaders(TOPIC, wanted) == wanted
        assert await cluster.leaders(TOPIC) == wanted


async def test_a_seed_says_where_leaders_move(cluster: Cluster) -> None:
    start = {0: 1, 1: 2, 2: 3}
    moves = []
    for seed in (7, 7, 8, 9):
        await cluster.move_leaders(TOPIC, start)
        moved = await cluster.move_leaders(TOPIC, random.Random(seed))
        assert all(moved[index] != leader for index, leader in start.items())
        moves.append(moved)
    assert moves[0] == moves[1]
    assert len({tuple(moved.items()) for moved in moves}) > 1


async def test_a_killed_node_is_noticed_in_seconds_and_nothing_acknowledged_is_lost(
    cluster: Cluster,
) -> None:
    await cluster.move_leaders(TOPIC, dict.fromkeys(range(3), 1))
    async with producing(cluster) as producer:
        await acknowledged(producer, values("before"))
        cluster.kill(1)
        await leads_no_more(cluster, 1)
        await acknowledged(producer, values("during"))
        with pytest.raises(BrokerError, match="node 1 does not answer"):
            await cluster.healthy(limit=0)
        await cluster.start(1)
        await cluster.healthy()
        await acknowledged(producer, values("after"))
    found = await kept(cluster)
    assert {each: found.count(each) for when in ("before", "during", "after")
            for each in values(when)} == {each: 1 for when in ("before", "during", "after")
                                          for each in values(when)}  # fmt: skip


async def test_a_frozen_node_is_left_behind_and_catches_up(cluster: Cluster) -> None:
    await cluster.move_leaders(TOPIC, dict.fromkeys(range(3), 2))
    cluster.pause(2)
    await leads_no_more(cluster, 2)
    async with producing(cluster) as producer:
        await acknowledged(producer, values("frozen"))
    cluster.resume(2)
    await cluster.healthy()
    assert set(values("frozen")) <= set(await kept(cluster))


async def test_a_stopped_node_hands_over_first(cluster: Cluster) -> None:
    await cluster.move_leaders(TOPIC, dict.fromkeys(range(3), 3))
    await cluster.stop(3)
    assert 3 not in (await cluster.leaders(TOPIC)).values()
    await cluster.start(3)
    await cluster.healthy()


async def test_a_node_cut_off_from_its_peers_still_answers_its_clients(cluster: Cluster) -> None:
    await cluster.move_leaders(TOPIC, dict.fromkeys(range(3), 1))
    cluster.network.isolate(1)

    async def told_by_another() -> bool:
        seen = await cluster.nodes[2].seen()
        assert seen is not None
        return all(part.leader != 1 for part in of_topic(seen.partitions))

    await eventually(told_by_another)
    alone = await cluster.nodes[1].seen()
    assert alone is not None
    assert {part.leader for part in of_topic(alone.partitions)} == {1}  # as it still believes
    cluster.network.heal()
    await cluster.healthy()


def of_topic(parts: tuple[Partition, ...]) -> list[Partition]:
    return [part for part in parts if part.topic == TOPIC]


async def test_clients_wait_for_the_node_they_are_cut_off_from(cluster: Cluster) -> None:
    await cluster.move_leaders(TOPIC, dict.fromkeys(range(3), 2))
    async with producing(cluster) as producer:
        await acknowledged(producer, values("near"))
        cluster.network.partition(2)
        sent = [await producer.send(TOPIC, value, partition=0) for value in values("far")]
        done, _ = await asyncio.wait(sent, timeout=1)
        assert not done
        assert set((await cluster.leaders(TOPIC)).values()) == {2}  # the nodes see nothing of it
        cluster.network.heal()
        await asyncio.wait_for(asyncio.gather(*sent), 60)
    found = await kept(cluster)
    assert all(found.count(value) == 1 for value in values("far"))


CAMPAIGN = """
import asyncio, sys
from pathlib import Path
from tests.campaigns.chaos.cluster import Cluster
from tests.campaigns.chaos.ending import cancelled_by_signals


async def main():
    with cancelled_by_signals():
        async with Cluster(Path(sys.argv[1]), nodes=1) as cluster:
            pid = cluster.nodes[1].pid
            cluster.pause(1)
            print(pid, flush=True)
            await asyncio.Event().wait()


asyncio.run(main())
"""


def test_nothing_survives_a_campaign_that_is_told_to_end(tmp_path: Path) -> None:
    """Not even a frozen node."""
    with subprocess.Popen(
        [sys.executable, "-c", CAMPAIGN, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as campaign:
        assert campaign.stdout is not None
        pid = int(campaign.stdout.readline())
        campaign.terminate()
        campaign.wait(60)
    assert not Path(f"/proc/{pid}").exists()

"""The embedded Kafka is a real one: it survives what brokers survive, and never its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from audit_stream.errors import BrokerError, ConfigError
from audit_stream.kafka.ask import describe_topics, topic_ends
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.embedded import EmbeddedKafka
from tests.integration.conftest import not_run
from tests.support.eventually import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
FAST_FENCING = {"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker of this module's own, to be stopped and killed."""
    made = EmbeddedKafka(tmp_path_factory.mktemp("own"), overrides=FAST_FENCING)
    yield made
    asyncio.run(made.stop())


@pytest.fixture
async def broker(own: EmbeddedKafka) -> EmbeddedKafka:
    """That broker, running."""
    try:
        if not own.is_running:
            await own.start()
    except (BrokerError, ConfigError) as error:
        not_run(error)
    return own


async def put(connection: KafkaConnection, topic: str, value: bytes) -> None:
    """One acknowledged record on partition 0."""
    producer = AIOKafkaProducer(**connection.client_options(), enable_idempotence=True)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()


async def values(connection: KafkaConnection, topic: str) -> list[bytes]:
    """Everything on partition 0."""
    (_, end) = (await topic_ends(connection, [topic]))[topic, 0]
    consumer = AIOKafkaConsumer(**connection.client_options(), enable_auto_commit=False)
    await consumer.start()
    try:
        part = TopicPartition(topic, 0)
        consumer.assign([part])
        consumer.seek(part, 0)
        return [(await consumer.getone()).value for _ in range(end)]
    finally:
        await consumer.stop()


async def create(connection: KafkaConnection, topic: str) -> None:
    """A topic of one partition."""

    async def there() -> bool:
        return topic in await describe_topics(connection, [topic])

    async with open_admin(connection) as admin:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    await eventually(there)


def listeners(pid: int, port: int) -> set[str]:
    """The local addresses, as the kernel spells them, that something listens on at `port`."""
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text("ascii").splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if local.endswith(f":{port:04X}") and state == "0A":
                found.add(local.partition(":")[0])
    return found


def parent_of_a_broker(folder: Path) -> subprocess.Popen[str]:
    """A Python that starts a broker, freezes it, prints its process id and waits."""
    script = (
        "import asyncio, pathlib, sys\n"
        "from audit_stream.kafka.embedded import EmbeddedKafka\n"
        "broker = EmbeddedKafka(pathlib.Path(sys.argv[1]))\n"
        "asyncio.run(broker.start())\n"
        "broker.pause()\n"
        "print(broker.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def gone(pid: int, limit_seconds: float = 30.0) -> bool:
    """Whether the process ends within the limit."""
    deadline = time.monotonic() + limit_seconds
    while running(pid):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.1)
    return True


async def test_records_survive_a_stop_a_kill_and_a_restart(broker: EmbeddedKafka) -> None:
    connection = KafkaConnection.parse(broker.url)
    url = broker.url
    await create(connection, "kept")
    await put(connection, "kept", b"before the restart")
    await broker.restart()
    await put(connection, "kept", b"before the kill")
    broker.kill()
    await broker.start()
    assert broker.url == url
    assert await values(connection, "kept") == [b"before the restart", b"before the kill"]


async def test_a_paused_broker_answers_nothing_until_it_is_resumed(broker: EmbeddedKafka) -> None:
    connection = KafkaConnection.parse(broker.url)
    await create(connection, "frozen")
    broker.pause()
    asking = asyncio.create_task(topic_ends(connection, ["frozen"]))
    _, waiting = await asyncio.wait([asking], timeout=1.0)
    broker.resume()
    assert waiting == {asking}
    async with asyncio.timeout(30.0):
        assert await asking == {("frozen", 0): (0, 0)}


async def test_a_paused_broker_can_be_stopped(broker: EmbeddedKafka) -> None:
    pid = broker.pid
    broker.pause()
    await broker.stop()
    assert not running(pid)


async def test_it_listens_on_the_loopback_alone(broker: EmbeddedKafka) -> None:
    port = int(broker.bootstrap.rpartition(":")[2])
    addresses = listeners(broker.pid, port)
    assert addresses
    assert addresses <= {"0100007F", "0000000000000000FFFF00000100007F"}  # 127.0.0.1, v4 and v6


async def test_no_topic_is_created_by_asking_for_it(broker: EmbeddedKafka) -> None:
    async with open_admin(KafkaConnection.parse(broker.url)) as admin:
        answer = await admin.describe_topics(["never-made"])  # as a client that would let it
        assert [topic["error_code"] for topic in answer] == [UnknownTopicOrPartitionError.errno]
        assert "never-made" not in await admin.list_topics()


async def test_a_port_that_is_taken_is_refused_and_not_mistaken_for_ours(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    port = int(kafka.bootstrap.rpartition(":")[2])
    second = EmbeddedKafka(tmp_path, port=port)
    with pytest.raises(BrokerError, match="already in use"):
        await second.start()
    with pytest.raises(BrokerError, match="does not run"):
        _ = second.pid


async def test_a_broker_that_ends_at_once_says_why(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    assert kafka.pid  # a machine without Kafka has been told so by the fixture
    broken = EmbeddedKafka(tmp_path, overrides={"num.io.threads": "none"})
    with pytest.raises(BrokerError, match=r"num\.io\.threads"):
        await broken.start()


async def test_a_cluster_id_that_begins_with_a_dash_is_no_option(
    kafka: EmbeddedKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kafka.pid  # a machine without Kafka has been told so by the fixture
    monkeypatch.setattr("os.urandom", lambda count: b"\xfb" * count)  # "-" in base64url
    async with EmbeddedKafka(tmp_path) as broker:
        assert await topic_ends(KafkaConnection.parse(broker.url), []) == {}


async def test_the_same_data_opens_under_other_ports(broker: EmbeddedKafka) -> None:
    await create(KafkaConnection.parse(broker.url), "moved")
    await put(KafkaConnection.parse(broker.url), "moved", b"x")
    await broker.stop()
    async with EmbeddedKafka(broker.log_path.parent, overrides=FAST_FENCING) as again:
        assert again.url != broker.url
        assert await values(KafkaConnection.parse(again.url), "moved") == [b"x"]


async def test_starting_twice_is_refused(broker: EmbeddedKafka) -> None:
    with pytest.raises(BrokerError, match="already started"):
        await broker.start()


@pytest.mark.skipif(sys.platform != "linux", reason="NOT RUN: parent death signal is Linux's")
async def test_the_broker_does_not_outlive_a_killed_parent(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    assert kafka.pid  # a machine without Kafka has been told so by the fixture
    with parent_of_a_broker(tmp_path) as parent:
        assert parent.stdout is not None
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        assert running(pid)
        os.kill(parent.pid, signal.SIGKILL)
    assert await gone(pid)

"""Alarms of real workers: on the webhook and on the topic, each opening and closing once."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from audit_stream.app.checks import check_topics
from audit_stream.errors import BrokerError, TopicError
from audit_stream.kafka import ops_events
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.embedded import free_ports
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import NAME, ROOT, Fleet
from tests.support.receiver import Receiver, receiving
from tests.support.vendor_schemas import PAGERDUTY

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
ROUTING_KEY = "0123456789abcdef0123456789abcdef"
HINT = "the proxy wants a login: check HTTPS_PROXY and NO_PROXY"
PLACE = TopicPartition(ops_events.TOPIC, 0)
SCHEMA = json.loads((ROOT / "topics/schemas/audit-ops-events.v1.schema.json").read_bytes())


@pytest.fixture
def receiver(fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A PagerDuty that the fleet's alarms go to."""
    monkeypatch.setenv("NO_PROXY", "*")
    (tmp_path / "routing-key").write_text(ROUTING_KEY)
    with receiving() as found:
        fleet.extra |= {
            "AUDIT_ALERT_WEBHOOK": found.url, "AUDIT_ALERT_SHAPE": "pagerduty",
            "AUDIT_ALERT_ROUTING_KEY_FILE": str(tmp_path / "routing-key"),
        }  # fmt: skip
        yield found


class OpsEvents:
    """The topic's records of one fleet, in order."""

    def __init__(self, fleet: Fleet, consumer: AIOKafkaConsumer) -> None:
        self.fleet, self.consumer = fleet, consumer
        self.found: list[dict[str, Any]] = []

    async def read(self) -> list[dict[str, Any]]:
        """All there are by now."""
        (end,) = (await self.consumer.end_offsets([PLACE])).values()
        while await self.consumer.position(PLACE) < end:
            for record in (await self.consumer.getmany(PLACE, timeout_ms=2000)).get(PLACE, ()):
                event = json.loads(record.value)
                assert record.key == event["key"].encode()
                jsonschema.Draft202012Validator(SCHEMA).validate(event)
                self.found.append(event)
        return [event for event in self.found if event["worker"].startswith(self.fleet.prefix)]


@pytest.fixture
async def ops(fleet: Fleet) -> AsyncIterator[OpsEvents]:
    """From the topic's beginning on."""
    connection = KafkaConnection.from_settings(fleet.settings)
    consumer = AIOKafkaConsumer(**connection.client_options(), enable_auto_commit=False)
    await consumer.start()
    consumer.assign([PLACE])
    await consumer.seek_to_beginning(PLACE)
    yield OpsEvents(fleet, consumer)
    await consumer.stop()


@pytest.mark.parametrize("words", [HINT, ""], ids=["refused", "away"])
async def test_each_worker_opens_and_closes_once_under_one_key(
    fleet: Fleet, receiver: Receiver, ops: OpsEvents, tmp_path: Path, words: str
) -> None:
    fleet.extra |= {"AUDIT_BREAKER_ATTEMPTS": "1", "AUDIT_BREAKER_PROBE_SECONDS": "0.3"}
    flag, events = tmp_path / "away", Events(71, fleet.topic)
    ports = free_ports(2)
    for index, port in enumerate(ports):
        fleet.extra["AUDIT_WEB_PORT"] = str(port)
        fleet.start(index, "away", str(flag))
    await eventually(lambda: asyncio.to_thread(all_ready, ports), 60)  # each has its partition
    await fleet.send(events.lines(500))
    await fleet.settled()
    (tmp_path / "words").write_text(words)
    (tmp_path / "words").rename(flag)

    async def opened() -> bool:
        await fleet.send(events.lines(50))  # both workers have something to put
        return len({event["worker"] for event in await ops.read()}) == 2

    await eventually(opened, 90)
    flag.unlink()
    await fleet.check(events.oracle)
    await eventually(lambda: said(ops, 4))
    by_worker: dict[str, list[str]] = {}
    for event in await ops.read():
        by_worker.setdefault(event["worker"], []).append(event["state"])
        assert event["key"] == "breaker:archive"
        assert words in event["summary"] or event["state"] == "closed"
    assert len(by_worker) == 2
    assert set(map(tuple, by_worker.values())) == {("open", "closed")}
    posts = receiver.taken()
    for post in posts:
        jsonschema.Draft202012Validator(PAGERDUTY).validate(post)
    assert sorted(post["event_action"] for post in posts) == [*["resolve"] * 2, *["trigger"] * 2]
    assert {post["dedup_key"] for post in posts} == {f"{NAME}/breaker:archive"}
    assert {post["payload"]["source"] for post in posts if "payload" in post} == set(by_worker)
    assert ROUTING_KEY not in fleet.log()
    assert receiver.url not in fleet.log()


def all_ready(ports: list[int]) -> bool:
    try:
        return all(
            httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success
            for port in ports
        )
    except httpx.TransportError:
        return False


async def said(ops: OpsEvents, count: int) -> bool:
    return len(await ops.read()) >= count


def environment(fleet: Fleet, **more: str) -> dict[str, str]:
    return os.environ | fleet.environment | {"PYTHONPATH": str(ROOT)} | more


async def run(fleet: Fleet, *words: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", *words], cwd=ROOT, timeout=120, text=True,
        capture_output=True, env=environment(fleet, AUDIT_INSTANCE_ID=f"{fleet.prefix}-w"),
    )  # fmt: skip


async def test_the_last_alarm_before_the_end_is_told_both_ways(
    fleet: Fleet, receiver: Receiver, ops: OpsEvents
) -> None:
    done = await run(fleet, "tests.support.last_words")
    assert done.returncode == 70, done.stderr
    assert [event["key"] for event in await ops.read()] == ["fork:last-words"]
    assert [post["dedup_key"] for post in receiver.taken()] == [f"{NAME}/fork:last-words"]


async def test_the_ways_can_be_tried_by_hand(
    fleet: Fleet, receiver: Receiver, ops: OpsEvents
) -> None:
    done = await run(fleet, "audit_stream", "alerts", "test", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["way"] for row in json.loads(done.stdout)] == ["webhook", "audit-ops-events"]
    assert [event["state"] for event in await ops.read()] == ["open", "closed"]
    assert [post["event_action"] for post in receiver.taken()] == ["trigger", "resolve"]


async def test_a_topic_that_is_missing_is_told_with_what_to_run(
    connection: KafkaConnection, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ops_events, "TOPIC", fresh)
    monkeypatch.setattr(ops_events, "_REQUEST_MS", 500)
    with pytest.raises(TopicError, match="topics apply"):
        await ops_events.write_event(connection, "breaker:archive", b"{}")


async def test_a_worker_does_not_start_without_the_topic(
    fleet: Fleet, connection: KafkaConnection, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await check_topics(connection, fleet.settings)
    monkeypatch.setattr(ops_events, "TOPIC", f"{fresh}-missing")
    with pytest.raises(TopicError, match=f"no such topic: {fresh}-missing"):
        await check_topics(connection, fleet.settings)


async def test_a_broker_that_never_answers_costs_a_limited_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ops_events, "_LIMIT_SECONDS", 0.5)

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(BrokerError):
            await ops_events.write_event(
                KafkaConnection.parse(f"kafka://127.0.0.1:{port}"), "k", b"{}"
            )

"""What stock Faust loses when an agent raises (L3), an event cannot be decoded (L4) or a produce
fails (L6), on a real broker; and that ours does not (docs/explanation/faust.md).

L1, L2, L5 and the failed commit are in tests/unit/stream/test_bookkeeping.py.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from audit_stream.app.topics import changelog_topic
from audit_stream.kafka.ask import topic_ends
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.embedded import EmbeddedKafka
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import ROOT, Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


class Stock:
    """One stock worker, its topics and what it says it did."""

    def __init__(self, fleet: Fleet) -> None:
        self.name, self.fleet = fleet.prefix, fleet
        self.source = f"{self.name}-in"
        self.target = f"{self.name}-out"
        self.done = fleet.folder / "done"
        self.connection = KafkaConnection.from_settings(fleet.settings)
        self.process: subprocess.Popen[bytes] | None = None

    async def run(self, case: str, values: list[bytes], **limits: str) -> None:
        async with open_admin(self.connection) as admin:
            await admin.create_topics([
                NewTopic(self.source, 1, 1), NewTopic(self.target, 1, 1, topic_configs=limits)
            ])  # fmt: skip
        await self.fleet.send([(b"key", value) for value in values], self.source)
        self.start(case)

    def start(self, case: str) -> None:
        environment = os.environ | {
            "STOCK_CASE": case, "STOCK_NAME": self.name, "STOCK_DONE": str(self.done),
            "STOCK_BROKER": self.fleet.broker, "STOCK_DATA": str(self.fleet.folder / "stock"),
            "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        with (self.fleet.folder / "stock.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.stock_worker", "worker", "-l", "info"],
                env=environment, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    async def committed(self) -> int:
        async with open_admin(self.connection) as admin:
            offsets = await admin.list_consumer_group_offsets(self.name)
        found = offsets.get(TopicPartition(self.source, 0))
        return found.offset if found else 0

    async def has_committed(self, offset: int) -> bool:
        return await self.committed() >= offset

    async def has_done_something(self) -> bool:
        return bool(self.lines())

    def lines(self) -> list[str]:
        return self.done.read_text().splitlines() if self.done.exists() else []

    async def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)


@pytest.fixture
async def stock(fleet: Fleet) -> AsyncIterator[Stock]:
    found = Stock(fleet)
    yield found
    await found.end()


async def test_l3_stock_acks_the_event_whose_agent_raised(stock: Stock) -> None:
    await stock.run("raises", [b"0", b"1", b"2", b"3", b"4"])
    await eventually(lambda: stock.has_committed(5), 60)
    assert stock.lines() == ["b'0'", "b'1'", "b'3'", "b'4'"]  # 2 is lost
    assert stock.process is not None
    assert stock.process.poll() is None  # and all looks well


async def test_l3_ours_ends_before_an_offset_moves(fleet: Fleet) -> None:
    events = Events(61, fleet.topic)
    await fleet.send(events.lines(1000))
    fleet.start(0, "raise", "2")
    assert await fleet.ended(0) == 70
    assert "the sink agent failed" in fleet.log()
    fleet.start(0)
    await fleet.check(events.oracle)


async def test_l4_stock_commits_past_a_valid_neighbour_of_broken_events(stock: Stock) -> None:
    await stock.run("json-slow", [b"{", b'{"valid": 1}', b"{", b"{"])
    await eventually(lambda: stock.has_committed(4), 90)  # with 1 queued, or at work
    await stock.end()
    stock.start("json")
    await stock.fleet.send([(b"key", b'{"valid": 2}')], stock.source)
    await eventually(stock.has_done_something, 60)
    assert stock.lines() == ["{'valid': 2}"]  # 1 is lost


async def test_l4_ours_quarantines_broken_events_and_archives_their_neighbours(
    fleet: Fleet,
) -> None:
    events = Events(67, fleet.topic)
    for _ in range(20):
        await fleet.send([(b"key", b"{"), *events.lines(5), (b"key", b"\xff")])
        events.oracle.quarantined += 2
    fleet.start(0)
    await fleet.check(events.oracle)


async def test_l6_stock_commits_what_it_could_not_forward(stock: Stock) -> None:
    await stock.run("produce", [b"0", b"1", b"2"], **{"max.message.bytes": "1000"})
    await eventually(lambda: stock.has_committed(3), 60)
    ends = await topic_ends(stock.connection, [stock.target])
    assert ends[stock.target, 0] == (0, 0)  # none of the three is there


async def test_l6_ours_covers_nothing_the_changelog_refused(
    fleet: Fleet, kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    changelog = changelog_topic(fleet.settings)
    await limit(fleet, changelog, "100")
    events = Events(71, fleet.topic)
    await fleet.send(events.lines(1000))
    fleet.start(0)
    assert await fleet.ended(0) == 70
    assert "cannot write changelog partition" in fleet.log()
    await limit(fleet, changelog, "1048588")
    fleet.start(0)
    await fleet.check(events.oracle)


async def limit(fleet: Fleet, topic: str, size: str) -> None:
    """Set a topic's largest batch."""
    async with open_admin(KafkaConnection.from_settings(fleet.settings)) as admin:
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": size})]
        )

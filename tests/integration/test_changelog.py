"""The changelog's producers against brokers that are away, or only just there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from audit_stream.errors import BrokerError, Fenced
from audit_stream.kafka.embedded import EmbeddedKafka
from audit_stream.stream import changelog
from audit_stream.stream.changelog import ChangelogWriter
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.starting_broker import StartingBroker, starting_broker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


async def test_a_broker_that_knows_of_none_is_away_and_owning_again_is_right(
    kafka: EmbeddedKafka, fresh: str
) -> None:
    async with starting_broker(kafka.url) as broker:
        writer = ChangelogWriter(fresh, "t", {"bootstrap_servers": broker.url.split("//")[1]})
        broker.starting = True
        with pytest.raises(BrokerError, match="cannot own changelog partition"):
            await writer.own([0, 1])
        broker.starting = False
        await writer.own([0, 1])
        await writer.close()
        with pytest.raises(Fenced):
            await writer.write(0, [(b"k", b"v")])


async def test_a_broker_that_finds_no_coordinator_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client would ask for ever, and say nothing."""
    monkeypatch.setattr(changelog, "_OPEN_SECONDS", 0.3)
    async with starting_broker("kafka://127.0.0.1:1") as broker:
        writer = ChangelogWriter("a", "t", {"bootstrap_servers": broker.url.split("//")[1]})
        broker.starting = broker.known = True
        with pytest.raises(BrokerError, match="cannot own changelog partition 0: TimeoutError"):
            await writer.own([0])
        await writer.close()


@asynccontextmanager
async def waiting(
    kafka: EmbeddedKafka, tmp_path: Path, prefix: str, seed: int
) -> AsyncIterator[tuple[Fleet, Events, StartingBroker]]:
    """A fleet whose first worker waits for its broker in a rebalance: the second one's start."""
    async with starting_broker(kafka.url) as broker:
        fleet = Fleet(broker.url, tmp_path, prefix)
        await fleet.prepare()
        events = Events(seed, fleet.topic)
        fleet.start(0)
        try:
            await fleet.send(events.lines(200))
            await fleet.check(events.oracle)
            broker.starting = True
            fleet.broker = kafka.url
            fleet.start(1)  # and the first has to own its partition anew
            await eventually(lambda: waits(fleet))
            yield fleet, events, broker
        finally:
            await fleet.close()


async def test_p8_a_rebalance_that_meets_a_starting_broker_is_waited_out(
    kafka: EmbeddedKafka, tmp_path: Path, fresh: str
) -> None:
    async with waiting(kafka, tmp_path, fresh, 104) as (fleet, events, broker):
        broker.starting = False
        await fleet.send(events.lines(200))
        await fleet.check(events.oracle)
        assert fleet.workers[0].poll() is None


async def test_a_worker_whose_rebalance_waits_for_the_broker_can_be_stopped(
    kafka: EmbeddedKafka, tmp_path: Path, fresh: str
) -> None:
    async with waiting(kafka, tmp_path, fresh, 105) as (fleet, _, _):
        assert await fleet.stop(0) == 0
        assert "the stop took longer" not in (fleet.folder / "worker-0.log").read_text()


async def waits(fleet: Fleet) -> bool:
    return "waiting for the broker" in (fleet.folder / "worker-0.log").read_text()

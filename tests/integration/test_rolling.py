"""A fleet under load is scaled, replaced and drained: nothing is lost, nothing is there twice."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from audit_stream.errors import BrokerError
from audit_stream.kafka.ask import live_brokers
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.embedded import EmbeddedKafka, free_ports
from audit_stream.stream.process import EXIT_FENCED
from tests.integration.test_bad_days import page, shows
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.load import Progress, load
from tests.support.members import group_of, has_members

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]
RATE = 200  # records a second
#: Far more than a machine that is busy with other tests takes; what it took is printed.
MOST_SECONDS = 45.0
LIMIT = 150.0  # of a wait, s; it is over as soon as what is waited for is there
SHUTDOWN = 8.0


async def step(
    fleet: Fleet, what: str, act: Callable[[], Awaitable[object]], members: int
) -> float:
    """Change the fleet under load; the longest time a partition stood still for it, s."""
    began = time.time()
    await act()
    await eventually(partial(has_members, fleet, members), LIMIT)
    await eventually(partial(Progress(fleet).everywhere, time.time()), LIMIT)
    stalled = Progress(fleet).stalls(began)
    print(f"{what}: {stalled:.1f} s without a segment, {time.time() - began:.1f} s in all")
    return stalled


async def test_p1_p2_scaled_up_and_down_under_load(fleet: Fleet) -> None:
    fleet.partitions = 4
    fleet.prefix += "s"
    await fleet.prepare()
    events = Events(201, fleet.topic)

    async def up(*indexes: int, leaves: str = "true") -> None:
        fleet.extra["AUDIT_LEAVE_ON_STOP"] = leaves
        for index in indexes:
            fleet.start(index)

    async def down(index: int) -> None:
        assert await fleet.stop(index) == 0

    async with load(fleet, events, RATE):
        await step(fleet, "0 -> 1", partial(up, 0), 1)
        stalls = [
            await step(fleet, "1 -> 2", partial(up, 1), 2),
            await step(fleet, "2 -> 4", partial(up, 2, 3), 4),
            await step(fleet, "4 -> 3, leaving the group", partial(down, 3), 3),
            await step(fleet, "3 -> 2, leaving the group", partial(down, 2), 2),
            await step(fleet, "2 -> 1, leaving the group", partial(down, 0), 1),
        ]
        await step(fleet, "1 -> 2", partial(up, 0, leaves="false"), 2)
        stalls.append(await step(fleet, "2 -> 1, when the session ends", partial(down, 0), 1))
    await fleet.check(events.oracle)
    assert max(stalls) < MOST_SECONDS


async def test_p1_p2_a_pod_that_is_soon_back_has_its_partitions_and_moves_no_others(
    fleet: Fleet,
) -> None:
    """The host name is the member's name: no setting, no shell."""
    fleet.pods = True
    fleet.extra["AUDIT_SESSION_TIMEOUT_SECONDS"] = "45"
    events = Events(202, fleet.topic)
    ports = free_ports(2)

    def start(index: int) -> None:
        fleet.extra["AUDIT_WEB_PORT"] = str(ports[index])
        fleet.start(index)

    start(0)
    start(1)
    async with load(fleet, events, RATE):
        await eventually(partial(has_members, fleet, 2), LIMIT)
        await eventually(partial(Progress(fleet).everywhere, time.time()), LIMIT)
        before, rebalances = await group_of(fleet), rebalances_of(ports[0])
        names = sorted(before.members)
        for index, name in enumerate(names):
            assert name.startswith(f"{fleet.prefix}-{index}-{ports[index]}-")
        began = time.time()
        await fleet.kill(1)
        start(1)
        await eventually(partial(has_another, fleet, names[1], before.members[names[1]][0]), LIMIT)
        await eventually(partial(Progress(fleet).everywhere, time.time()), LIMIT)
        print(f"killed and back: {Progress(fleet).stalls(began):.1f} s without a segment")
        after = await group_of(fleet)
        assert after.assigned() == before.assigned()
        assert after.members[names[0]] == before.members[names[0]]
        assert rebalances_of(ports[0]) == rebalances
    await fleet.check(events.oracle)


def rebalances_of(port: int) -> str:
    lines = page(port, "/metrics").splitlines()
    return next(line for line in lines if line.startswith("audit_stream_rebalances_total "))


async def has_another(fleet: Fleet, name: str, member: str) -> bool:
    """Whether another process is in the group under the static name by now."""
    group = await group_of(fleet)
    return group.is_stable and group.members[name][0] != member


async def test_p2_of_two_processes_with_one_name_the_first_ends_and_says_why(fleet: Fleet) -> None:
    fleet.extra["AUDIT_INSTANCE_ID"] = "the-same"
    events = Events(203, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(500))
    await fleet.settled()  # nothing to store: it is not by a segment that the first one hears
    fleet.start(1)  # another state directory: no lock between them
    assert await fleet.ended(0) == EXIT_FENCED
    log = (fleet.folder / "worker-0.log").read_text()
    assert "AS-5002: another process is the member the-same-" in log
    await fleet.send(events.lines(500))
    await fleet.check(events.oracle)
    assert fleet.workers[1].poll() is None


@asynccontextmanager
async def drained(fleet: Fleet, events: Events, what: str, *tampering: str) -> AsyncIterator[None]:
    """A worker under load, into which the block brings the trouble; then it is stopped, within its
    time, and the next one does what it had not stored."""
    fleet.extra["AUDIT_SHUTDOWN_SECONDS"] = str(SHUTDOWN)
    started = time.time()
    fleet.start(0, *tampering)
    await fleet.send(events.lines(300))
    await eventually(partial(Progress(fleet).everywhere, started), LIMIT)
    await fleet.send(events.lines(2000))
    yield
    began = time.monotonic()
    code = await fleet.stop(0)
    seconds = time.monotonic() - began
    print(f"SIGTERM, {what}: ended after {seconds:.1f} s with exit code {code}")
    assert seconds < SHUTDOWN + 5.0
    assert code in (0, 70)


async def test_p1_p2_a_stop_does_not_wait_for_a_slow_store(fleet: Fleet) -> None:
    events = Events(204, fleet.topic)
    async with drained(fleet, events, "all well"):
        pass
    async with drained(fleet, events, "each put takes 3 s", "slow", "3"):
        pass
    fleet.start(0)
    await fleet.check(events.oracle)


async def test_p1_p2_a_stop_does_not_wait_for_a_store_that_is_away(
    fleet: Fleet, tmp_path: Path
) -> None:
    events = Events(206, fleet.topic)
    away, port = tmp_path / "away", fleet.serve()
    fleet.extra |= {"AUDIT_BREAKER_ATTEMPTS": "1", "AUDIT_BREAKER_PROBE_SECONDS": "0.5"}
    async with drained(fleet, events, "the store is down", "away", str(away)):
        away.touch()
        await fleet.send(events.lines(500))
        await eventually(
            lambda: shows(port, 'audit_stream_breaker_open{target="archive"} 1.0'), LIMIT
        )
    fleet.start(0)
    await fleet.check(events.oracle)


async def answers(fleet: Fleet) -> bool:
    """Whether the broker does."""
    with contextlib.suppress(BrokerError):
        return bool(await live_brokers(KafkaConnection.from_settings(fleet.settings)))
    return False


async def test_p1_p2_a_stop_does_not_wait_for_a_broker(tmp_path: Path, fresh: str) -> None:
    async with EmbeddedKafka(tmp_path / "kafka") as broker:
        fleet = Fleet(broker.url, tmp_path, fresh)
        await fleet.prepare()
        events = Events(205, fleet.topic)
        try:
            async with drained(fleet, events, "the broker is down"):
                await broker.stop()
            await broker.start()
            async with drained(fleet, events, "the broker is frozen"):
                broker.pause()
            broker.resume()
            await eventually(lambda: answers(fleet))  # to what came meanwhile, first
            fleet.start(0)
            await fleet.check(events.oracle)
        finally:
            await fleet.close()

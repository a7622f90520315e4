"""A second store under a real fleet: the first is lost, and nothing is missing or double."""

from __future__ import annotations

import shutil
from pathlib import Path

import aiohttp
import pytest

from audit_stream.app.redundant import Keys, add_missing, compare, open_sides
from audit_stream.cli.verify import log_key_of, trusted_keys
from audit_stream.redundancy.pairing import Outcome
from audit_stream.settings import Settings
from tests.support.commands import document, run
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def with_second(fleet: Fleet, mode: str) -> Path:
    """Give the fleet a second store; its folder."""
    folder = fleet.folder / "second"
    fleet.extra["AUDIT_ARCHIVE_SECONDARY"] = folder.as_uri()
    fleet.extra["AUDIT_SECONDARY_MODE"] = mode
    return folder


def keys(settings: Settings) -> Keys:
    return Keys(trusted_keys(settings, []), log_key_of(settings, None))


async def compared(fleet: Fleet) -> Outcome:
    async with open_sides(fleet.settings) as sides:
        return await compare(sides, keys(fleet.settings), lambda _: None)


async def is_equal(fleet: Fleet) -> bool:
    return (await compared(fleet)).is_equal


async def measured(port: int, series: str) -> float:
    """What a worker says of itself."""
    address = f"http://127.0.0.1:{port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        lines = (await answer.text()).splitlines()
    (found,) = [line for line in lines if line.startswith(f"{series} ")]
    return float(found.rpartition(" ")[2])


async def lag_is_above(port: int, seconds: float) -> bool:
    return await measured(port, "audit_stream_secondary_lag_seconds") > seconds


async def moved_to_the_second(fleet: Fleet) -> None:
    """The first store is gone: from now on the second one is the archive."""
    shutil.rmtree(fleet.folder / fleet.archive)
    fleet.archive = "second"
    for name in ("AUDIT_ARCHIVE_SECONDARY", "AUDIT_SECONDARY_MODE"):
        del fleet.extra[name]
    # Beside the archive by default: they lie in a store of their own, and were not lost.
    fleet.extra["AUDIT_SUBJECTS"] = (fleet.folder / "archive-subjects").as_uri()


async def test_p1_p2_when_the_first_store_is_lost_workers_go_on_from_the_second(
    fleet: Fleet,
) -> None:
    """Behind: a tail that was acknowledged is on the first store alone when that burns down. The
    raw topics still have it, so it is archived again; the log has vouched for none of it."""
    second = with_second(fleet, "behind")
    events = Events(311, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(1000))
    await fleet.settled()
    assert (await run(fleet, "notary", "--once")).returncode == 0
    await eventually(lambda: is_equal(fleet))
    away = second.rename(fleet.folder / "away")
    await fleet.send(events.lines(1000))
    await fleet.settled()  # all acknowledged, within the bound
    await fleet.kill(0)
    assert not second.exists()
    away.rename(second)
    behind = await compared(fleet)
    assert behind.alone > 0
    assert all(each.alone_on == "primary" for each in behind.differences)

    await moved_to_the_second(fleet)
    fleet.start(0)
    await fleet.send(events.lines(500))
    await fleet.check(events.oracle)
    assert (await run(fleet, "notary", "--once")).returncode == 0
    assert (await run(fleet, "verify")).returncode == 0


async def test_p1_p2_before_nothing_counts_that_is_not_on_both(fleet: Fleet) -> None:
    """A worker is killed at work, and the first store burns down at once: the second one has all
    that was acknowledged, and no hole."""
    with_second(fleet, "before")
    events = Events(312, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(1000))
    await fleet.settled()
    await fleet.send(events.lines(1000))
    await eventually(lambda: fleet.archived(len(events.oracle.archived) * 3 // 5))
    await fleet.kill(0)
    found = await compared(fleet)
    assert found.differing == 0
    assert {each.alone_on for each in found.differences} <= {"primary"}
    assert found.alone <= fleet.partitions  # one put of each partition was under way

    await moved_to_the_second(fleet)
    fleet.start(0)
    await fleet.check(events.oracle)


async def test_a_second_store_that_is_away_holds_up_the_first_only_from_the_bound_on(
    fleet: Fleet,
) -> None:
    """Then it comes back, and has everything again; what a kill left out, a sweep copies."""
    second = with_second(fleet, "behind")
    fleet.extra |= {"AUDIT_SECONDARY_LAG_SECONDS": "3", "AUDIT_BREAKER_ATTEMPTS": "1",
                    "AUDIT_BREAKER_PROBE_SECONDS": "0.3"}  # fmt: skip
    events, port = Events(313, fleet.topic), fleet.serve()
    fleet.start(0)
    await fleet.send(events.lines(500))
    await fleet.settled()
    await eventually(lambda: is_equal(fleet))
    away = second.rename(fleet.folder / "away")
    await fleet.send(events.lines(500))
    await fleet.settled()  # within the bound
    await eventually(lambda: lag_is_above(port, 4.0))
    archived = len(fleet.lines())
    await fleet.send(events.lines(500))
    await eventually(lambda: lag_is_above(port, 7.0))
    assert len(fleet.lines()) == archived  # beyond it nothing is stored
    assert await measured(port, 'audit_stream_breaker_open{target="secondary"}') == 1
    await fleet.kill(0)  # nothing of this is on the second store
    away.rename(second)
    async with open_sides(fleet.settings, "secondary") as sides:
        done = await add_missing(
            sides, keys(fleet.settings), "secondary", lambda _: None, dry=False, whole=False
        )
    assert done.added_count > 0
    fleet.start(0)
    await fleet.check(events.oracle)
    await eventually(lambda: is_equal(fleet))
    assert (await document(fleet, "archive", "compare"))["verdict"] == "equal"

"""`replay --compare` against what a fleet archived on bad days, and against tampered archives."""

from __future__ import annotations

import pytest

from tests.support.commands import document
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


async def messy(fleet: Fleet, seed: int, lines: int = 2000) -> Events:
    """What a fleet archives while a worker is killed."""
    events = Events(seed, fleet.topic)
    fleet.start(0)
    fleet.start(1)
    await fleet.send(events.lines(lines // 2))
    await eventually(lambda: fleet.archived(100), 60)
    await fleet.kill(0)
    await fleet.send(events.lines(lines // 2))
    fleet.start(0)
    await fleet.check(events.oracle)
    await fleet.stop(0)
    await fleet.stop(1)
    return events


async def test_a_messy_archive_is_what_the_raw_log_gives(fleet: Fleet) -> None:
    events = await messy(fleet, 101)
    answer = await document(fleet, "replay", "--compare")
    assert answer["verdict"] == "equal"
    partitions = answer["partitions"]
    assert sum(p["compared"] for p in partitions) == answer["events"] == 2000
    assert sum(p["records"] for p in partitions) == len(events.oracle.archived)
    assert {p["state_from"] for p in partitions} == {"raw log"}
    assert all(p["complete"] and not p["not_comparable"] for p in partitions)
    assert not list((fleet.folder / "command-state" / "replay").glob("*-0*"))  # nothing is left

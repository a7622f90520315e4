"""A rolling upgrade across a format: readers first, then writers; and what an old release does that
meets what it does not know."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from functools import partial

import pytest

from audit_stream.evidence.ending import decode_link
from audit_stream.evidence.formats import FORMATS
from audit_stream.evidence.layout import parse_segment_name
from audit_stream.evidence.segment import Segment
from audit_stream.kafka.ask import committed_by
from audit_stream.kafka.connect import KafkaConnection
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import ROOT, Fleet
from tests.support.load import Progress, load
from tests.support.members import group_of, has_members
from tests.support.next_release import SECOND

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]
OLD, NEXT = "audit_stream", "tests.support.next_release"
RATE = 200
CANNOT_JUDGE = 3
LIMIT = 150.0  # of a wait, s; it is over as soon as what is waited for is there


async def command(fleet: Fleet, release: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | fleet.environment | {
        "AUDIT_STATE_DIR": str(fleet.folder / "command-state"), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    return await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", release, *words], env=environment, cwd=ROOT,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def next_worker(fleet: Fleet, index: int, write: int) -> None:
    fleet.extra["AUDIT_WRITE_FORMAT"] = str(write)
    fleet.start_module(index, NEXT, "worker")
    del fleet.extra["AUDIT_WRITE_FORMAT"]


def formats(fleet: Fleet) -> dict[int, list[str]]:
    """The version of each segment, by partition and in the order of the chain."""
    found: dict[int, list[str]] = {}
    folder = fleet.settings.archive_path
    for path in sorted(folder.glob("segments/**/*.gz")):
        name = parse_segment_name(str(path.relative_to(folder)))
        link = decode_link(path.read_bytes(), path.name)
        assert name is not None
        assert isinstance(link, Segment)
        found.setdefault(name.partition, []).append(link.header.v)
    return found


async def goes_on(fleet: Fleet) -> None:
    """Every partition has a segment that was not begun yet."""
    await eventually(partial(Progress(fleet).everywhere, time.time()), LIMIT)


async def test_p1_p2_rolled_to_a_next_format_and_back(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FORMATS, SECOND.number, SECOND)  # for the test's own reading
    fleet.extra["AUDIT_LEAVE_ON_STOP"] = "true"
    events = Events(211, fleet.topic)
    fleet.start(0)
    fleet.start(1)
    async with load(fleet, events, RATE):
        await eventually(partial(has_members, fleet, 2), LIMIT)
        await goes_on(fleet)

        # Readers first: the next release beside the old one writes what the old one can read.
        assert await fleet.stop(0) == 0
        next_worker(fleet, 0, write=1)
        await eventually(partial(has_members, fleet, 2), LIMIT)
        await goes_on(fleet)
        assert await fleet.stop(0) == 0
        await eventually(partial(has_members, fleet, 1), LIMIT)
        await goes_on(fleet)  # and back: the old one has all again, states too
        assert {v for chain in formats(fleet).values() for v in chain} == {"audit-segment/1"}

        # Then writers. An old one that is left over does not follow, and leaves at once.
        next_worker(fleet, 0, write=2)
        await eventually(partial(writes, fleet, "audit-segment/2"), LIMIT)
        assert await fleet.stop(0) == 0
        newer = {p for p, chain in formats(fleet).items() if "audit-segment/2" in chain}
        assert newer
        before = await committed(fleet, newer)
        assert await fleet.ended(1) == CANNOT_JUDGE, fleet.log()
        assert await committed(fleet, newer) == before
        assert "AS-2002" in said(fleet, 1)
        assert "fork" not in said(fleet, 1)
        assert (await group_of(fleet)).members == {}

        # Told to write the old format, the next release still does not go back in a chain.
        next_worker(fleet, 0, write=1)
        await goes_on(fleet)
        # The old one is started again and again, and does not join: no session has to time out.
        joined = await group_of(fleet)
        fleet.start(1)
        assert await fleet.ended(1) == CANNOT_JUDGE
        assert await group_of(fleet) == joined
    await fleet.check(events.oracle)
    for chain in formats(fleet).values():
        assert chain == sorted(chain)
    assert "is not of the form audit-state/2" in said(fleet, 0)


def said(fleet: Fleet, index: int) -> str:
    return (fleet.folder / f"worker-{index}.log").read_text()


async def committed(fleet: Fleet, partitions: Iterable[int]) -> dict[tuple[str, int], int]:
    settings = fleet.settings
    places = [(fleet.topic, partition) for partition in partitions]
    connection = KafkaConnection.from_settings(settings)
    found = await committed_by(connection, settings.app_id)
    return {place: found.get(place, (0, ""))[0] for place in places}


async def writes(fleet: Fleet, wanted: str) -> bool:
    chains = await asyncio.to_thread(formats, fleet)
    return any(wanted in chain for chain in chains.values())

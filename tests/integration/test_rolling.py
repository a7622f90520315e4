"""The rolling life of a fleet under load: scaled, stopped, replaced; nothing lost, nothing twice."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.load import Progress, load
from tests.support.members import group_of, has_members

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
RATE = 800  # records a second
#: A partition without a segment for so long, s, was not only waiting for its age.
_SESSION = 6.0


async def step(fleet: Fleet, what: str, act: Callable[[], Awaitable[object]], members: int) -> float:
    """Change the fleet under load; the longest time a partition stood still for it."""
    began = time.time()
    await act()
    await eventually(partial(has_members, fleet, members), 60)
    joined = time.time()
    progress = Progress(fleet)
    await eventually(partial(progress.everywhere, joined), 60)
    stalled = progress.stalls(began)
    print(f"{what}: {stalled:.1f} s without a segment, {time.time() - began:.1f} s in all")
    return stalled


async def test_p1_p2_scaled_up_and_down_under_load(fleet: Fleet) -> None:
    fleet.partitions = 4
    fleet.prefix += "s"
    fleet.extra["AUDIT_LEAVE_ON_STOP"] = "true"
    await fleet.prepare()
    events = Events(201, fleet.topic)

    async def up(*indexes: int) -> None:
        for index in indexes:
            fleet.start(index)

    async def down(index: int) -> None:
        assert await fleet.stop(index) == 0

    async with load(fleet, events, RATE):
        await step(fleet, "0 -> 1", partial(up, 0), 1)
        stalls = [
            await step(fleet, "1 -> 2", partial(up, 1), 2),
            await step(fleet, "2 -> 4", partial(up, 2, 3), 4),
            await step(fleet, "4 -> 3", partial(down, 3), 3),
            await step(fleet, "3 -> 2", partial(down, 2), 2),
            await step(fleet, "2 -> 1", partial(down, 0), 1),
        ]
    await fleet.check(events.oracle)
    assert max(stalls) < 2 * _SESSION

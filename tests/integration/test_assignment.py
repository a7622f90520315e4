"""What comes around an assignment: batches that were fetched must not be lost on their way."""

from __future__ import annotations

import pytest

from tests.support.events import Events
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


async def test_p1_what_waits_when_the_flow_is_resumed_is_not_left_out(fleet: Fleet) -> None:
    """Faust clears its queues then; the partition would stand still until its next assignment."""
    events = Events(41, fleet.topic)
    await fleet.send(events.lines(1000))
    fleet.start(0)
    await fleet.settled()
    assert await fleet.stop(0) == 0
    await fleet.send(events.lines(1000))
    fleet.start(0, "hurried")  # fetches already while it restores the end of its state
    await fleet.check(events.oracle)


@pytest.mark.parametrize("kept", [0, 3])
async def test_p1_answers_that_are_dropped_are_no_holes(fleet: Fleet, kept: int) -> None:
    """However often: what was never looked at must not be covered."""
    events = Events(43, fleet.topic)
    await fleet.send(events.lines(1000))
    fleet.start(0, "forgetful", str(kept), "4")
    for _ in range(4):
        await fleet.send(events.lines(200))
        await fleet.settled()
    await fleet.check(events.oracle)

"""A worker whose state has no room: it ends with a sentence, and goes on where there is room."""

from __future__ import annotations

import pytest

from audit_stream.stream.process import EXIT_INTERNAL
from tests.campaigns.chaos.machine import Machine
from tests.support.commands import run
from tests.support.events import Events
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


async def test_p8_a_full_state_disk_ends_the_worker_with_a_sentence_and_loses_nothing(
    fleet: Fleet,
) -> None:
    state = fleet.folder / "archive-state-0"
    machine = Machine(fleet.folder / "machine", [state])
    fleet.machine = machine.environment
    events = Events(307, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(500))
    await fleet.settled()
    machine.full_disk()
    await fleet.send(events.lines(500))
    assert await fleet.ended(0) == EXIT_INTERNAL
    log = fleet.log()
    assert "AS-1301: cannot write the database" in log
    assert "Traceback" not in log
    refused = await run(fleet, "worker", AUDIT_STATE_DIR=str(state), **machine.environment)
    assert refused.returncode == 2
    assert "AS-1301: cannot write the state directory" in refused.stderr
    assert "No space left on device" in refused.stderr
    machine.heal()
    fleet.start(0)
    await fleet.check(events.oracle)

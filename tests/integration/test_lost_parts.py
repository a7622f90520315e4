"""Parts of an installation that are lost while its other parts stay: the archive is the log."""

from __future__ import annotations

import pytest

from audit_stream.app.topics import changelog_topic
from audit_stream.kafka.connect import KafkaConnection, open_admin
from tests.integration.test_fleet import gone
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.mark.parametrize("more", [0, 3000], ids=["shorter", "longer"])
async def test_p2_a_lost_changelog_changes_nothing(fleet: Fleet, more: int) -> None:
    """The state directory is kept; it is ahead of the new changelog, or behind its end."""
    events = Events(127, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(2000))
    await fleet.check(events.oracle)
    assert await fleet.stop(0) == 0
    changelog = changelog_topic(fleet.settings)
    async with open_admin(KafkaConnection.from_settings(fleet.settings)) as admin:
        await admin.delete_topics([changelog])
    await eventually(lambda: gone(fleet, changelog))
    await fleet.prepare()
    if more:
        # Entries of keys that nobody looks up: only the topic's id tells that it is another one.
        await fleet.send([(b"unknown-%d" % n, b"x") for n in range(more)], changelog)
    fleet.start(0)
    await fleet.send(events.lines(2000))
    await fleet.check(events.oracle)
    await fleet.kill(0)
    fleet.start(1)  # an empty disk: the new changelog and the archive must be enough
    await fleet.send(events.lines(500))
    await fleet.check(events.oracle)

"""Workers that archive to Azure: ``azure://`` works as ``file://`` does."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.embedded import EmbeddedKafka
from tests.integration.test_bad_days import missing
from tests.support.azurite import ACCOUNT, KEY, Azurite
from tests.support.commands import document, run
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture
async def fleet(
    kafka: EmbeddedKafka, azurite: Azurite, tmp_path: Path, fresh: str
) -> AsyncIterator[Fleet]:
    """An installation whose archive and subject objects lie in containers of Azurite."""
    archive, subjects = f"a{uuid.uuid4().hex}", f"s{uuid.uuid4().hex}"
    await azurite.create_container(archive)
    await azurite.create_container(subjects)
    string = tmp_path / "connection-string"
    string.write_text(f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={azurite.endpoint}\n")
    extra = {
        "AUDIT_ARCHIVE": f"azure://{ACCOUNT}/{archive}",
        "AUDIT_SUBJECTS": f"azure://{ACCOUNT}/{subjects}",
        "AUDIT_AZURE_CONNECTION_STRING_FILE": str(string),
    }
    found = Fleet(kafka.url, tmp_path, fresh, extra=extra)
    await found.prepare()
    yield found
    await found.close()


async def test_p1_p2_kills_and_joins_on_azure_archive_all_once(fleet: Fleet) -> None:
    events = Events(31, fleet.topic)
    fleet.start(0)
    fleet.start(1)
    await fleet.send(events.lines(3000))
    await eventually(lambda: fleet.archived(300), 60)
    await fleet.kill(0)
    await fleet.send(events.lines(2000))
    fleet.start(0)
    await fleet.check(events.oracle, 90)
    for command in (["verify"], ["reconcile"], ["show", next(iter(events.oracle.archived))[0]]):
        ran = await run(fleet, *command)
        assert ran.returncode == 0, ran.stdout + ran.stderr


async def test_a_new_generation_and_a_comparison_on_azure(fleet: Fleet) -> None:
    events = Events(33, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(600))
    await fleet.settled()
    await fleet.stop(0)
    async with open_admin(KafkaConnection.from_settings(fleet.settings)) as admin:
        await admin.delete_topics([fleet.topic])
    await eventually(lambda: missing(fleet))
    await fleet.prepare()
    words = ("topics", "new-generation", fleet.topic, "--reason", "a test", "--yes")
    begun = await run(fleet, *words)
    assert begun.returncode == 0, begun.stdout + begun.stderr
    again = Events(35, fleet.topic)
    fleet.start(0)
    await fleet.send(again.lines(600))
    await fleet.settled()
    assert len(fleet.lines()) == len(events.oracle.archived) + len(again.oracle.archived)
    assert (await document(fleet, "verify"))["verdict"] == "verified"
    answer = await document(fleet, "replay", "--compare")
    assert answer["verdict"] == "equal"
    assert {p["generation"] for p in answer["partitions"] if p["compared"]} == {2}

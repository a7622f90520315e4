"""Workers that archive to Azure: ``azure://`` works as ``file://`` does."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from audit_stream.kafka.embedded import EmbeddedKafka
from tests.support.azurite import ACCOUNT, KEY, Azurite
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import ROOT, Fleet

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
        ran = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "audit_stream", *command], cwd=ROOT, text=True,
            env=os.environ | fleet.environment, capture_output=True,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr

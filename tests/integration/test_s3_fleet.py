"""Workers that archive to S3: ``s3://`` works as ``file://`` does, on a real server."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audit_stream.kafka.embedded import EmbeddedKafka
from audit_stream.stores.s3_target import S3Keys
from tests.support.asking import serving
from tests.support.commands import document, run, running
from tests.support.events import Events
from tests.support.eventually import eventually, until
from tests.support.fleet import Fleet
from tests.support.s3_account import identity, set_up
from tests.support.versitygw import Versitygw, versitygw

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

ARCHIVE, SUBJECTS = "audit-archive", "audit-subjects"


@dataclass(frozen=True)
class Scene:
    """A server with both buckets, and an installation that writes to them."""

    server: Versitygw
    fleet: Fleet
    reader: S3Keys


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Versitygw]:
    with versitygw(tmp_path / "s3") as found:
        yield found


@pytest.fixture
async def scene(
    kafka: EmbeddedKafka, server: Versitygw, tmp_path: Path, fresh: str
) -> AsyncIterator[Scene]:
    writer, reader = identity(server, "writer"), identity(server, "reader")
    set_up(server, ARCHIVE, SUBJECTS, [writer.key_id], reader.key_id)
    urls = {"AUDIT_ARCHIVE": f"s3://{ARCHIVE}", "AUDIT_SUBJECTS": f"s3://{SUBJECTS}"}
    fleet = Fleet(kafka.url, tmp_path, fresh, extra=urls | server.settings(writer))
    await fleet.prepare()
    yield Scene(server, fleet, reader)
    await fleet.close()


async def test_p1_p2_p5_workers_killed_and_a_notary_archive_and_log_all_once(scene: Scene) -> None:
    fleet, events = scene.fleet, Events(51, scene.fleet.topic)
    fleet.extra["AUDIT_LOG_BATCH_SECONDS"] = "1"
    with running(fleet, "notary") as notary:
        for step, when in (("put", "after"), ("changelog", "before")):
            await fleet.send(events.lines(600))
            fleet.start(0, "kill", step, when, "2")  # stored, and nobody has noted it
            assert await fleet.ended(0) == -signal.SIGKILL, fleet.log()
        fleet.start(0)
        fleet.start(1)
        await fleet.send(events.lines(2000))
        await fleet.check(events.oracle, 90)

        async def all_logged() -> bool:
            log = (await document(fleet, "verify"))["log"]
            return bool(log and log["newer"] == 0)

        await eventually(all_logged, 60)
        notary.terminate()
        assert await asyncio.to_thread(notary.wait, 30) == 0
    for index in (0, 1):
        assert await fleet.stop(index) == 0
    fleet.extra |= scene.server.settings(scene.reader)  # who reads need not write
    message, status = events.oracle.archived[0]
    for command in (["verify"], ["reconcile"], ["show", message]):
        ran = await run(fleet, *command)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    told = await asyncio.to_thread(_ask, fleet, message)
    assert status in {each["delivery_status"] for each in told["history"]}
    assert all(each["evidence"]["log_index"] is not None for each in told["history"])
    names = [each["Key"] for each in scene.server.versions(ARCHIVE)]
    assert len(names) == len(set(names))  # nothing was put over anything


def _ask(fleet: Fleet, message: str) -> dict[str, Any]:
    """What a gateway of the installation says of a message."""
    places = ("index_dir", "gateway_tokens", "answer_keys", "journal_dir")
    own = {name: fleet.folder / "gateway" / name for name in places}
    settings = fleet.settings.model_copy(update={**own, "gateway_refresh_seconds": 0.2})
    with serving(settings) as asked:
        headers = asked.token()
        until(lambda: asked.get(headers, message_uuid=message).status_code == 200, 60)
        found: dict[str, Any] = asked.get(headers, message_uuid=message).json()
        return found

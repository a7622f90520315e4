"""Workers that archive to S3: ``s3://`` works as ``file://`` does, on a real server."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audit_stream.kafka.embedded import EmbeddedKafka
from audit_stream.stores.s3_target import S3Keys
from tests.support import certificates
from tests.support.asking import serving
from tests.support.commands import document, running
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

    async def document(self, *words: str) -> dict[str, Any]:
        """A command's answer to who may only read."""
        return await document(self.fleet, *words, **self.server.settings(self.reader))


@asynccontextmanager
async def installed(
    server: Versitygw, broker: str, folder: Path, name: str
) -> AsyncIterator[Scene]:
    writer, reader = identity(server, "writer"), identity(server, "reader")
    set_up(server, ARCHIVE, SUBJECTS, [writer.key_id], reader.key_id)
    urls = {"AUDIT_ARCHIVE": f"s3://{ARCHIVE}", "AUDIT_SUBJECTS": f"s3://{SUBJECTS}"}
    fleet = Fleet(broker, folder, name, extra=urls | server.settings(writer))
    await fleet.prepare()
    try:
        yield Scene(server, fleet, reader)
    finally:
        await fleet.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Versitygw]:
    with versitygw(tmp_path / "s3") as found:
        yield found


@pytest.fixture
async def scene(
    kafka: EmbeddedKafka, server: Versitygw, tmp_path: Path, fresh: str
) -> AsyncIterator[Scene]:
    async with installed(server, kafka.url, tmp_path, fresh) as found:
        yield found


@pytest.fixture
def closed_server(tmp_path: Path) -> Iterator[Versitygw]:
    """One that speaks TLS."""
    with versitygw(tmp_path / "s3", tls=certificates.identity(tmp_path, "s3")) as found:
        yield found


@pytest.fixture
async def closed_line(
    kafka: EmbeddedKafka, closed_server: Versitygw, tmp_path: Path, fresh: str
) -> AsyncIterator[Scene]:
    async with installed(closed_server, kafka.url, tmp_path, fresh) as found:
        yield found


async def test_p1_p2_p5_a_worker_killed_behind_a_put_and_a_notary_archive_all_once(
    scene: Scene,
) -> None:
    fleet, events = scene.fleet, Events(51, scene.fleet.topic)
    fleet.extra["AUDIT_LOG_BATCH_SECONDS"] = "1"
    with running(fleet, "notary") as notary:
        await fleet.send(events.lines(600))
        fleet.start(0, "kill", "put", "after", "2")  # stored, and nobody has noted it
        assert await fleet.ended(0) == -signal.SIGKILL, fleet.log()
        fleet.start(0)
        fleet.start(1)
        await fleet.send(events.lines(1000))
        await fleet.check(events.oracle, 90)

        async def all_logged() -> bool:
            log = (await document(fleet, "verify"))["log"]
            return bool(log and log["newer"] == 0)

        await eventually(all_logged, 60)
        notary.terminate()
        assert await asyncio.to_thread(notary.wait, 30) == 0
    for index in (0, 1):
        assert await fleet.stop(index) == 0
    message, status = events.oracle.archived[0]
    assert (await scene.document("verify"))["verdict"] == "verified"
    assert (await scene.document("reconcile"))["unexplained"] == 0
    assert (await scene.document("show", message))["message_uuid"] == message
    told = await asyncio.to_thread(_ask, fleet, message)
    assert status in {each["delivery_status"] for each in told["history"]}
    assert all(each["evidence"]["log_index"] is not None for each in told["history"])
    segments = [each["Key"] for each in scene.server.versions(ARCHIVE, "segments/")]
    assert len(segments) == len(set(segments))  # nothing was put over anything


async def test_a_worker_runs_on_a_locked_bucket_over_tls_and_on_no_open_line(
    closed_line: Scene,
) -> None:
    fleet, events = closed_line.fleet, Events(53, closed_line.fleet.topic)
    fleet.extra["AUDIT_ALLOW_ASSURANCE"] = "worm_locked"
    fleet.start(0)
    await fleet.send(events.lines(600))
    await fleet.check(events.oracle, 90)
    report = await asyncio.to_thread(fleet.verify)
    assert set(report.assurance) == {"worm_locked"}
    assert report.notes == []  # the canary is no stranger
    assert await fleet.stop(0) == 0


async def test_a_worker_does_not_start_where_nobody_vouches_for_the_line(scene: Scene) -> None:
    scene.fleet.extra["AUDIT_ALLOW_ASSURANCE"] = "worm_locked"
    scene.fleet.start(0)
    assert await scene.fleet.ended(0) == 2
    assert "is mutable, AUDIT_ALLOW_ASSURANCE asks for worm_locked; endpoint: http" in (
        scene.fleet.log()
    )


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

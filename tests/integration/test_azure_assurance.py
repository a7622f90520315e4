"""A worker on a locked container, over TLS, with a workload identity; and without the lock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from audit_stream.kafka.embedded import EmbeddedKafka
from audit_stream.stores.azure_canary import NAME
from tests.support.blobs.cloud import Cloud
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with Cloud(tmp_path) as cloud:
        cloud.become(monkeypatch, "writer")
        yield cloud


@pytest.fixture
async def fleet(
    kafka: EmbeddedKafka, cloud: Cloud, tmp_path: Path, fresh: str
) -> AsyncIterator[Fleet]:
    extra = {f"AUDIT_{name.upper()}": value for name, value in cloud.fields().items()}
    extra |= {
        "AUDIT_ALLOW_ASSURANCE": "worm_locked", "AUDIT_ASSURANCE_CHECK_SECONDS": "1",
        "AUDIT_AZURE_TLS13": "true",
    }  # fmt: skip
    found = Fleet(kafka.url, tmp_path, fresh, extra=extra)
    await found.prepare()
    yield found
    await found.close()


async def test_a_worker_runs_on_what_is_locked_and_ends_when_it_is_not(
    fleet: Fleet, cloud: Cloud
) -> None:
    events = Events(41, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(1500))
    await fleet.check(events.oracle, 90)
    report = await asyncio.to_thread(fleet.verify)
    assert set(report.assurance) == {"worm_locked"}
    assert report.notes == []  # the canary is no stranger

    async def asked_again() -> bool:
        attacks = [s for s in cloud.double.requests if s.method == "DELETE"]
        return len(attacks) >= 2

    await eventually(asked_again)
    assert {s.status for s in cloud.double.requests if s.method == "DELETE"} == {403}
    assert [name for name in cloud.archive.blobs if name.startswith("posture/")] == [NAME]
    assert cloud.changes() == []

    cloud.archive.remove_policy()
    assert await fleet.ended(0) == 70
    assert "AS-1002 the archive was worm_locked and is mutable; retention policy: none" in (
        fleet.log()
    )
    stored = set(cloud.archive.blobs)
    await fleet.send(events.lines(300))
    fleet.start(0)
    assert await fleet.ended(0) == 2
    said = fleet.log()
    assert "is mutable, AUDIT_ALLOW_ASSURANCE asks for worm_locked; retention policy: none" in said
    assert "audit-stream archive lock --days 2557" in said
    assert set(cloud.archive.blobs) == stored

    cloud.archive.days = 2557  # mended: it goes on where it was
    fleet.start(0)
    await fleet.check(events.oracle, 90)

"""Notaries beside a fleet: everything archived is logged, whoever dies; and `verify` holds it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.embedded import free_ports
from audit_stream.keys.file import load_keyring
from audit_stream.notary.log import ArchiveLog
from audit_stream.stores.file import FileStore
from tests.integration.test_bad_days import missing
from tests.support.commands import document, run, running
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def batches(fleet: Fleet) -> int:
    return len(list((fleet.settings.archive_path / "log").glob("*.json")))


async def verified(fleet: Fleet, *words: str, code: int = 0) -> dict[str, Any]:
    return await document(fleet, "verify", *words, code=code)


async def test_two_notaries_one_killed_log_everything_once(fleet: Fleet, tmp_path: Path) -> None:
    fleet.extra["AUDIT_LOG_BATCH_SECONDS"] = "1"
    events = Events(61, fleet.topic)
    fleet.start(0)
    with running(fleet, "notary") as one, running(fleet, "notary") as two:
        await fleet.send(events.lines(2000))
        await eventually(lambda: asyncio.to_thread(lambda: batches(fleet) >= 3), 60)
        one.kill()
        await fleet.send(events.lines(1000))
        await fleet.check(events.oracle, 90)

        async def all_logged() -> bool:
            log = (await verified(fleet))["log"]
            return bool(log and log["newer"] == 0)

        await eventually(all_logged, 60)
        two.terminate()
        assert await asyncio.to_thread(two.wait, 30) == 0
    kept = tmp_path / "kept"
    kept.write_text((await run(fleet, "log", "checkpoint")).stdout)
    found = await verified(fleet, "--checkpoint", str(kept))
    assert found["verdict"] == "verified"
    assert found["log"]["size"] > found["segments"]
    assert (await run(fleet, "log", "check", str(kept))).returncode == 0


async def test_a_cut_off_end_shows_against_a_kept_checkpoint(fleet: Fleet, tmp_path: Path) -> None:
    fleet.start(0)
    await fleet.send(Events(63, fleet.topic).lines(600))
    await fleet.settled()
    await fleet.stop(0)
    first = await run(fleet, "notary", "--once")
    assert first.returncode == 0, first.stderr
    kept = tmp_path / "kept"
    kept.write_text((await run(fleet, "log", "checkpoint")).stdout)
    for folder in ("log", "tile"):
        for path in (fleet.settings.archive_path / folder).rglob("*.json"):
            path.unlink()
    last = sorted((fleet.settings.archive_path / "segments").rglob("*.gz"))[-1]
    last.unlink()  # the last segment of a partition, and a log without it
    again = await run(fleet, "notary", "--once")
    assert again.returncode == 0, again.stderr
    assert (await verified(fleet))["verdict"] == "verified"  # from the archive alone nobody can say
    found = await verified(fleet, "--checkpoint", str(kept), code=1)
    assert any("V20" in problem for problem in found["problems"])
    assert (await run(fleet, "log", "check", str(kept))).returncode == 1


async def test_a_notary_without_a_broker_logs_all_the_same(fleet: Fleet) -> None:
    fleet.start(0)
    await fleet.send(Events(65, fleet.topic).lines(300))
    await fleet.settled()
    await fleet.stop(0)
    done = await run(fleet, "notary", "--once", AUDIT_BROKER="kafka://127.0.0.1:1")
    assert done.returncode == 0, done.stderr
    assert "will not name the broker's ends" in done.stderr
    assert (await verified(fleet))["log"]["newer"] == 0


async def newest_ends(fleet: Fleet) -> list[int | None]:
    """What the log's newest digest says of where the partitions end."""
    store, ring = FileStore(fleet.settings.archive_path), load_keyring(fleet.settings.keyring)
    assert ring.log_key is not None
    head = await ArchiveLog(store, ring.log_key).head()
    assert head is not None
    return [each.end for each in head.digest.coverage]


async def test_a_notary_goes_on_when_a_topic_is_gone(fleet: Fleet) -> None:
    """Retired, or about to be made again: what was archived of it is logged all the same."""
    fleet.start(0)
    await fleet.send(Events(67, fleet.topic).lines(300))
    await fleet.settled()
    await fleet.stop(0)
    assert (await run(fleet, "notary", "--once")).returncode == 0
    assert sum(end or 0 for end in await newest_ends(fleet)) == 300
    async with open_admin(KafkaConnection.from_settings(fleet.settings)) as admin:
        await admin.delete_topics([fleet.topic])
    await eventually(lambda: missing(fleet))
    done = await run(fleet, "notary", "--once")
    assert done.returncode == 0, done.stderr
    assert set(await newest_ends(fleet)) == {None}
    found = await verified(fleet)
    assert (found["verdict"], found["log"]["newer"]) == ("verified", 0)


async def told_ready(port: int) -> dict[str, bool]:
    """What the notary says that it is ready for; nothing while nobody answers."""
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{port}/readyz")
    except httpx.TransportError:
        return {}
    found: dict[str, bool] = answer.json()
    return found


async def test_a_notary_ends_when_it_is_asked_to_while_the_archive_is_away(fleet: Fleet) -> None:
    """It asks the store for what others logged again and again: a stop does not wait for that."""
    fleet.start(0)
    await fleet.send(Events(69, fleet.topic).lines(300))
    await fleet.settled()
    await fleet.stop(0)
    assert (await run(fleet, "notary", "--once")).returncode == 0  # for long nothing is due
    port, archive = free_ports(1)[0], fleet.settings.archive_path
    fleet.extra |= {"AUDIT_LOG_BATCH_SECONDS": "3600", "AUDIT_LOG_POLL_SECONDS": "1"}
    with running(fleet, "notary", AUDIT_WEB_PORT=str(port)) as notary:

        async def follows() -> bool:
            told = await told_ready(port)
            return bool(told) and all(told.values())

        async def waits() -> bool:
            return (await told_ready(port))["breaker_closed"] is False

        await eventually(follows, 60)
        archive.rename(archive.with_name("away"))
        archive.mkdir()  # as of a file system that was unmounted
        await eventually(waits, 60)
        notary.terminate()
        assert await asyncio.to_thread(notary.wait, 20) == 0

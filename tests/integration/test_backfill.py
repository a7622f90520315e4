"""`backfill` beside a live fleet, killed again and again, gives the same record lines."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from audit_stream.evidence.segment import decode
from tests.support.azurite import ACCOUNT, KEY, Azurite
from tests.support.commands import document, run, running
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def second(fleet: Fleet) -> Path:
    return fleet.folder / "second"


def records_in(folder: Path) -> int:
    paths = sorted((folder / "segments").rglob("*.gz"))
    return sum(decode(path.read_bytes(), path.name).header.count for path in paths)


async def settle(fleet: Fleet) -> None:
    await fleet.settled()
    for index in list(fleet.workers):
        await fleet.stop(index)


async def assert_same(fleet: Fleet, *more: str) -> None:
    urls = (fleet.settings.archive, second(fleet).as_uri())
    answer = await document(fleet, "archive", "compare", *urls, *more)
    assert answer["verdict"] == "equal"
    verified = await document(fleet, "verify", "--archive", urls[1])
    assert verified["verdict"] == "verified"


async def test_killed_midway_beside_a_live_fleet_it_archives_the_same(fleet: Fleet) -> None:
    events = Events(201, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(3000))
    await eventually(lambda: fleet.archived(1), 60)  # by then the streams are founded
    into = second(fleet)
    words = ("backfill", "--into", into.as_uri(), "--rate", "800")
    stored = 0
    for _ in range(3):
        with running(fleet, *words) as process:
            await eventually(partial(more_than, into, stored, process), 60)
            process.kill()
        await fleet.send(events.lines(500))
        stored = records_in(into)
        assert stored < len(events.oracle.archived)
    await fleet.check(events.oracle)
    done = await document(fleet, "backfill", "--into", into.as_uri(), "--until-caught-up")
    assert done["complete"]
    assert any(p["from"] > 0 for p in done["partitions"])  # it went on, not from the start
    await settle(fleet)
    assert records_in(into) == len(events.oracle.archived)
    await assert_same(fleet)
    subjects = fleet.folder / "second-subjects" / "subjects"
    assert len(list(subjects.rglob("*.bin"))) >= len(list((into / "segments").rglob("*.gz")))


async def more_than(folder: Path, records: int, process: subprocess.Popen[str]) -> bool:
    """Whether so many records are stored there; whoever stores them must not end before."""
    stored = await asyncio.to_thread(records_in, folder)
    assert stored > records or process.poll() is None, process.communicate()
    return stored > records


async def test_a_stop_is_clean_and_the_same_command_goes_on(fleet: Fleet) -> None:
    events = Events(203, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(2000))
    await settle(fleet)
    words = ("backfill", "--into", second(fleet).as_uri())
    with running(fleet, *words, "--rate", "500") as process:
        await eventually(partial(more_than, second(fleet), 0, process), 60)
        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 1, err
    assert "run the same command again" in out
    again = await document(fleet, *words)
    assert sum(sum(p["dispositions"].values()) for p in again["partitions"]) < 2000
    await assert_same(fleet)


async def test_a_dry_run_makes_nothing_and_says_how_much(fleet: Fleet) -> None:
    events = Events(205, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(300))
    await settle(fleet)
    answer = await document(fleet, "backfill", "--into", second(fleet).as_uri(), "--dry-run")
    assert sum(p["offsets"] for p in answer["partitions"]) == 300
    assert not second(fleet).exists()


async def test_a_copy_can_lie_in_azure(fleet: Fleet, azurite: Azurite) -> None:
    events = Events(209, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(600))
    await settle(fleet)
    archive, subjects = f"a{fleet.prefix}", f"s{fleet.prefix}"
    await azurite.create_container(archive)
    await azurite.create_container(subjects)
    string = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={azurite.endpoint}"
    fleet.extra["AUDIT_AZURE_CONNECTION_STRING"] = string
    into = f"azure://{ACCOUNT}/{archive}"
    done = await document(
        fleet, "backfill", "--into", into, "--subjects-into", f"azure://{ACCOUNT}/{subjects}"
    )
    assert done["complete"]
    answer = await document(fleet, "archive", "compare", fleet.settings.archive, into)
    assert answer["verdict"] == "equal"
    assert sum(p["records"] for p in answer["partitions"]) == len(events.oracle.archived)


async def test_other_archives_are_refused(fleet: Fleet) -> None:
    fleet.start(0)
    await fleet.send(Events(207, fleet.topic).lines(100))
    await settle(fleet)
    live = fleet.settings.archive
    alias = fleet.folder / "alias"
    alias.symlink_to(fleet.settings.archive_path)
    full = fleet.folder / "full"
    (full / "notes").mkdir(parents=True)
    (full / "notes" / "a.txt").write_text("something else")
    for into, says in (
        (live, "names the live archive"),
        (alias.as_uri(), "was not begun by a backfill"),
        (full.as_uri(), "it is not empty"),
    ):
        done = await run(fleet, "backfill", "--into", into)
        assert done.returncode == 2, done.stderr
        assert says in done.stderr

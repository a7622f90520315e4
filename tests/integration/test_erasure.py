"""Erasing persons from a fleet at work: late events, frozen and killed workers, two hands."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from audit_stream.app.covers import cover_opener
from audit_stream.app.places import archive_to_read, subject_store
from audit_stream.archive.fleet import Member, members
from audit_stream.archive.history import History
from audit_stream.archive.opening import Closed
from audit_stream.archive.private import PrivateObjects
from audit_stream.keys.file import load_keyring, write_view
from tests.support.commands import ROOT, run
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.keeping import maps

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

TENANT = "tenant_a"
BASIS = "GDPR Art.17(1)(b)"
QUICK = {"AUDIT_BARRIER_SECONDS": "20", "AUDIT_ERASURE_GRACE_SECONDS": "1"}


def customer(number: int) -> str:
    return f"Größe-{number}"


async def ask(fleet: Fleet, ref: str, who: str) -> Any:
    """File and approve, in two hands; what the dry run said."""
    filed = await run(
        fleet, "redact", "--customer", who, "--tenant", TENANT, "--request-ref", ref, "--basis",
        BASIS, "--by", "privacy", "--json",
    )  # fmt: skip
    assert filed.returncode == 0, filed.stderr
    alone = await run(fleet, "redact", "approve", ref, "--by", "privacy")
    assert alone.returncode == 1
    approved = await run(fleet, "redact", "approve", ref, "--by", "counsel")
    assert approved.returncode == 0, approved.stderr
    return json.loads(filed.stdout)


async def carry_out(fleet: Fleet, **settings: str) -> Any:
    done = await run(fleet, "redact", "run", "--json", **(QUICK | settings))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["certificates"]


async def opened(fleet: Fleet) -> dict[str, Any]:
    """What the newest keyring opens of each message: customer, or why not."""
    messages = {json.loads(line)["pub"]["message_uuid"] for line in fleet.lines()}
    settings = fleet.settings
    ring = load_keyring(settings.keyring)
    store, subjects = archive_to_read(settings), subject_store(settings)
    history = History(store, subjects, ring.trusted, ring.keyring, cover_opener(settings))
    try:
        found = [await history.of(each, [fleet.topic], TENANT, None) for each in messages]
    finally:
        await store.close()
        await subjects.close()
    return {
        each.record.pub["source"]: each.personal.closed
        or each.personal.fields["customer_external_id"]
        for seen in found
        for each in seen
    }


async def registered(fleet: Fleet) -> list[Member]:
    ring = load_keyring(fleet.settings.keyring).keyring
    store = subject_store(fleet.settings)
    try:
        return await members(PrivateObjects(store, ring.index_key))
    finally:
        await store.close()


async def at_epoch(fleet: Fleet, epoch: int, count: int) -> bool:
    return [each.epoch for each in await registered(fleet)] == [epoch] * count


async def test_p7_someone_is_erased_while_a_fleet_works_and_late_events_get_no_key(
    fleet: Fleet,
) -> None:
    events = Events(3, fleet.topic)
    fleet.start(0)
    fleet.start(1)
    await fleet.send(events.lines(1500))
    await eventually(lambda: fleet.archived(300))
    await fleet.settled()
    await eventually(lambda: at_epoch(fleet, 1, 2))
    before = await opened(fleet)
    gone = customer(7)
    said = await ask(fleet, "R-1", gone)
    theirs = {source for source, who in before.items() if who == gone}
    assert (said["records"], said["tenants"]) == (len(theirs), [TENANT])
    [certificate] = await carry_out(fleet)
    assert (certificate["count"], certificate["number"]) == (len(theirs), 0)
    assert await at_epoch(fleet, 2, 2)
    assert await carry_out(fleet) == []

    await fleet.send(events.lines(1500))
    await fleet.check(events.oracle)
    after = await opened(fleet)
    assert len(after) > len(before)
    assert {source for source in before if after[source] is Closed.ERASED} == theirs
    assert {s: who for s, who in after.items() if s in before and s not in theirs} == {
        s: who for s, who in before.items() if s not in theirs
    }  # fmt: skip
    assert gone not in after.values()
    late = [json.loads(line) for line in fleet.lines()]
    erased = [each for each in late if each["pub"].get("erased")]
    assert erased  # late events of theirs: recorded, without personal fields
    assert all(each["pii"] is None and "_sd" not in each["pub"] for each in erased)
    assert await published(fleet) == [certificate["certificate_id"]]
    for index in (0, 1):
        assert await fleet.stop(index) == 0
    assert await registered(fleet) == []


async def test_p7_an_idle_worker_has_no_old_cover_left(fleet: Fleet) -> None:
    events = Events(11, fleet.topic)
    worker = fleet.start(0)
    await fleet.send(events.lines(600))
    await fleet.settled()
    assert maps(worker, "cover-1.bin")
    await ask(fleet, "R-1", customer(1))
    await carry_out(fleet)
    assert await at_epoch(fleet, 2, 1)
    assert not maps(worker, "cover-1.bin")
    assert maps(worker, "cover-1-2.bin")
    await fleet.send(events.lines(600))
    await fleet.check(events.oracle)


async def test_p7_a_worker_that_cannot_start_is_waited_for_by_nobody(fleet: Fleet) -> None:
    """Its supervisor starts it again and again: each leaves a word that a person would excuse."""
    fleet.extra["AUDIT_STATUS_MAP"] = str(fleet.folder / "missing.json")
    fleet.start(0)
    assert await fleet.ended(0) != 0
    assert "AS-1001: AUDIT_STATUS_MAP: cannot read the file" in fleet.log()
    assert await registered(fleet) == []


async def test_p7_who_starts_amid_an_erasure_waits_for_the_keeper_that_goes_on(
    fleet: Fleet, tmp_path: Path
) -> None:
    """The one before told of the epoch and ended; this worker's own view is not brought up yet."""
    write_view(load_keyring(fleet.settings.keyring), fleet.settings.keyring, "worker", tmp_path)
    view = str(tmp_path / fleet.settings.keyring.name)
    events = Events(13, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(600))
    await fleet.settled()
    await ask(fleet, "R-1", customer(1))
    killed = [sys.executable, "-m", "tests.support.dying_keeper", "punctured", "after"]
    keeper = await asyncio.create_subprocess_exec(
        *killed, env=os.environ | fleet.environment | QUICK, cwd=ROOT
    )
    assert await keeper.wait() == -signal.SIGKILL
    await eventually(lambda: at_epoch(fleet, 2, 1))

    def waits(times: int) -> bool:
        return fleet.log().count("ALARM keyring:behind") == times

    async def start_and_wait(times: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(fleet.extra, "AUDIT_KEYRING", view)
            fleet.start(1)
        await eventually(lambda: asyncio.sleep(0, waits(times)))

    await start_and_wait(1)
    assert await fleet.stop(1) == 0
    await start_and_wait(2)
    assert len(await carry_out(fleet, AUDIT_KEYRING_VIEWS=view)) == 1
    await eventually(lambda: at_epoch(fleet, 2, 2))
    await fleet.send(events.lines(600))
    await fleet.check(events.oracle)


async def published(fleet: Fleet) -> list[str]:
    """Certificates of this archive's register on the topic, in order."""
    consumer = AIOKafkaConsumer(
        "audit-redactions", bootstrap_servers=fleet.settings.bootstrap_servers,
        auto_offset_reset="earliest",
    )  # fmt: skip
    await consumer.start()
    try:
        batches = await consumer.getmany(timeout_ms=3000)
    finally:
        await consumer.stop()
    said = [json.loads(record.value) for records in batches.values() for record in records]
    made = {
        json.loads(path.read_bytes().split(b"\n")[0])["certificate_id"]
        for path in (fleet.folder / fleet.archive / "redactions").iterdir()
    }
    return [each["certificate_id"] for each in said if each["certificate_id"] in made]


async def test_p7_a_worker_that_was_back_within_its_session_does_not_block(fleet: Fleet) -> None:
    """The broker goes on saying the name of the process before, whom nobody could excuse."""
    fleet.extra["AUDIT_SESSION_TIMEOUT_SECONDS"] = "30"
    events = Events(3, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(300))
    await fleet.settled()
    for end in (fleet.stop, fleet.kill):
        await end(0)
        fleet.start(0)
        await fleet.send(events.lines(100))
        await fleet.settled()
    await ask(fleet, "R-1", customer(7))
    assert await at_epoch(fleet, 1, 2)  # the killed one is still known

    async def carried_out() -> bool:
        await fleet.send(events.lines(20))  # partitions are sealed on, which lets the killed one go
        done = await run(fleet, "redact", "run", "--json", **QUICK)
        return done.returncode == 0 and bool(json.loads(done.stdout)["certificates"])

    await eventually(carried_out, 120)
    assert await at_epoch(fleet, 2, 1)
    await fleet.check(events.oracle)


async def test_p7_a_frozen_worker_blocks_until_it_has_let_go(fleet: Fleet) -> None:
    events = Events(5, fleet.topic)
    fleet.extra["AUDIT_SESSION_TIMEOUT_SECONDS"] = "30"
    sleeper = fleet.start(0)
    await fleet.send(events.lines(600))
    await fleet.settled()
    await ask(fleet, "R-1", customer(1))
    sleeper.send_signal(signal.SIGSTOP)
    done = await run(fleet, "redact", "run", **(QUICK | {"AUDIT_BARRIER_SECONDS": "1"}))
    assert done.returncode != 0
    assert "has not loaded the new epoch" in done.stderr
    sleeper.send_signal(signal.SIGCONT)
    await eventually(lambda: at_epoch(fleet, 2, 1))
    assert len(await carry_out(fleet)) == 1
    await fleet.send(events.lines(600))
    await fleet.check(events.oracle)


async def test_p7_a_killed_worker_is_excused_once_all_is_sealed_on(fleet: Fleet) -> None:
    events = Events(6, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(600))
    await fleet.settled()
    await fleet.kill(0)
    await ask(fleet, "R-1", customer(1))
    waiting = await run(fleet, "redact", "run", **(QUICK | {"AUDIT_BARRIER_SECONDS": "0"}))
    assert waiting.returncode != 0  # nobody can tell yet what it may still have on its way
    fleet.start(1)
    await fleet.send(events.lines(600))
    await fleet.settled()
    [certificate] = await carry_out(fleet)
    entry = fleet.folder / fleet.archive / "redactions" / f"{0:020d}.json"
    barrier = json.loads(entry.read_bytes().split(b"\n")[0])["barrier"]
    assert barrier["acknowledged"] == 1
    assert [each["by"] for each in barrier["excused"]] == ["keeper"]
    assert certificate["request_ref"] == "R-1"
    await fleet.check(events.oracle)

"""The archive's signing key is rotated under running workers, as the how-to has it."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from audit_stream.evidence.segment import decode
from audit_stream.keys.file import load_keyring
from tests.support.commands import document, run
from tests.support.events import Events
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def segments(fleet: Fleet) -> list[Path]:
    return list((fleet.settings.archive_path / "segments").rglob("*.gz"))


def names(fleet: Fleet) -> list[str]:
    return [path.name for path in segments(fleet)]


def signed(fleet: Fleet) -> Counter[str]:
    """Segments by the key that their header names."""
    return Counter(decode(p.read_bytes(), p.name).header.kid for p in segments(fleet))


async def test_workers_with_either_key_make_one_archive(fleet: Fleet) -> None:
    """One seals with the old key, one with the new: neither takes the other's segments for junk."""
    old, following = fleet.settings.keyring, fleet.folder / "next" / "keyring.json"
    rotated = await run(fleet, "keyring", "rotate", str(following.parent))
    assert rotated.returncode == 0, rotated.stderr
    await document(fleet, "log", "announce", "--reason", "the first")
    shutil.copy(following.with_name("public.txt"), old.with_name("public.txt"))
    fleet.start(0)
    events = Events(91, fleet.topic)
    await fleet.send(events.lines(600))
    await fleet.settled()

    fleet.extra["AUDIT_KEYRING"] = str(following)
    announced = await document(fleet, "log", "announce", "--reason", "yearly")
    new = load_keyring(following).signer.kid
    assert [key["kid"] for key in announced["keys"]] == [new]
    fleet.start(1)
    await fleet.send(events.lines(600))
    await fleet.settled()
    while not signed(fleet)[new]:  # until the second worker has a partition
        await fleet.send(events.lines(200))
        await fleet.settled()
    await fleet.stop(1)  # the first goes on behind what the second has sealed
    await fleet.send(events.lines(300))
    await fleet.check(events.oracle)
    await fleet.stop(0)

    before = load_keyring(old).signer.kid
    assert set(signed(fleet)) == {before, new}
    revoke = ("log", "revoke", before, "--reason", "yearly")
    assert (await run(fleet, *revoke)).returncode == 2, "it signed what was not logged until now"
    await document(fleet, *revoke)
    found = await document(fleet, "verify")
    assert (found["verdict"], found["log"]["newer"]) == ("verified", 0)
    assert all(name.count(".") == 2 for name in names(fleet)), "nothing was taken for junk"

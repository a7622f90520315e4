"""A start amid an erasure: it waits for the keyring as everybody does who runs, and is refused one
that nothing is moving on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from audit_stream.app import newest
from audit_stream.app.checks import load_archive_keyring
from audit_stream.app.newest import BEHIND, AskedToEnd, newest_keyring
from audit_stream.archive.fleet import tell_epoch
from audit_stream.errors import KeyringError
from audit_stream.keys.epochs import read_master
from audit_stream.keys.file import LoadedKeyring, write_view
from audit_stream.settings import Settings
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support import golden
from tests.support.alerts import RecordedAlerts
from tests.support.erasing import SOMEBODY
from tests.support.eventually import eventually
from tests.support.keeping import Kept, Kill, Killed


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


@pytest.fixture
def view(kept: Kept) -> Path:
    """A worker's view that the keeper cannot come to."""
    write_view(kept.ring, kept.path, "worker", kept.folder / "view")
    return kept.folder / "view/keyring.json"


def settings_of(keyring: Path) -> Settings:
    return Settings.load(
        None, archive_name=golden.KEYRING.archive, keyring=str(keyring),
        topics=",".join(golden.TOPICS),
    )  # fmt: skip


async def killed_at_work(kept: Kept) -> None:
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(Killed):
        await kept.run(Kill("punctured", "after"))


def behind(alarms: AlarmBoard) -> list[str]:
    return [each["summary"] for each in alarms.open() if each["key"] == BEHIND]


async def test_it_waits_for_the_keeper_that_goes_on(kept: Kept, view: Path) -> None:
    await killed_at_work(kept)
    alarms, settings = AlarmBoard("worker"), settings_of(view)
    start = asyncio.create_task(newest_keyring(settings, kept.store, kept.private, alarms))

    async def says_so() -> bool:
        return bool(behind(alarms))

    await eventually(says_so, 10)
    [said] = behind(alarms)
    assert "has the epoch 1, the archive is at 2" in said
    assert not start.done()
    kept.views = [view]
    await kept.run()
    assert (await asyncio.wait_for(start, 10)).keyring.epoch == 2
    assert behind(alarms) == []


async def test_a_whole_erasure_behind_its_back_is_no_error(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between loading the keyring and asking how far the archive is."""
    await kept.file("R-1", SOMEBODY)
    loaded = list[int]()

    def load(settings: Settings) -> LoadedKeyring:
        ring = load_archive_keyring(settings)
        if not loaded:
            asyncio.run(kept.run())
        loaded.append(ring.keyring.epoch)
        return ring

    monkeypatch.setattr(newest, "load_archive_keyring", load)
    alerts = RecordedAlerts()
    ring = await newest_keyring(settings_of(kept.path), kept.store, kept.private, alerts)
    assert (loaded, ring.keyring.epoch) == ([1, 2], 2)
    assert alerts.events == [("close", BEHIND)]  # nobody is woken for a moment
    assert len(await kept.certificates()) == 1


async def test_one_that_nothing_moves_on_is_refused(kept: Kept, view: Path) -> None:
    await kept.file("R-1", SOMEBODY)
    await kept.run()
    alarms = AlarmBoard("worker")
    with pytest.raises(KeyringError, match="has the epoch 1, the archive is at 2"):
        await newest_keyring(settings_of(view), kept.store, kept.private, alarms)
    assert behind(alarms) == []
    assert read_master(kept.path).epoch == 2


async def test_one_that_never_was_the_newest_is_refused_also_when_it_was_told_so(
    kept: Kept,
) -> None:
    await tell_epoch(kept.private, 2)
    with pytest.raises(KeyringError, match="has the epoch 1, the archive is at 2"):
        await newest_keyring(settings_of(kept.path), kept.store, kept.private, AlarmBoard("worker"))


async def test_a_command_does_not_wait_for_ever(kept: Kept, view: Path) -> None:
    await killed_at_work(kept)
    with pytest.raises(KeyringError, match="has the epoch 1, the archive is at 2") as refused:
        await newest_keyring(
            settings_of(view), kept.store, kept.private, AlarmBoard("worker"), patience=0.0
        )
    assert "an erasure is at work" in str(refused.value)


async def test_who_is_asked_to_end_waits_no_longer(kept: Kept, view: Path) -> None:
    await killed_at_work(kept)
    with pytest.raises(AskedToEnd):
        await newest_keyring(
            settings_of(view), kept.store, kept.private, AlarmBoard("worker"),
            asked_to_end=lambda: True,
        )  # fmt: skip

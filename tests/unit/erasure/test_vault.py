"""Erasing where covers are wrapped: the vault's key goes, and with it every copy from before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_stream.app.adoption import KeyringWatch
from audit_stream.erasure.returning import bring_back
from audit_stream.errors import KeyringError, UnknownVersion, VaultAway
from audit_stream.evidence.encoding import time_text
from audit_stream.keys.epochs import advance, destroy_keys, read_master
from audit_stream.keys.file import LoadedKeyring, load_keyring, write_view
from audit_stream.keys.vault import VaultCovers, key_name
from audit_stream.keys.wrapping import LOCAL, header_of, is_wrapped
from audit_stream.privacy.derivation import TagMaker
from tests.support import golden
from tests.support.erasing import ANOTHER, SOMEBODY
from tests.support.eventually import eventually
from tests.support.keeping import NAME, Kept, Kill, Killed, sources
from tests.support.vault import DAY, VaultDouble


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VaultDouble]:
    (tmp_path / "vault").mkdir()
    with VaultDouble(tmp_path / "vault") as started:
        for name, value in started.environment("keeper").items():
            monkeypatch.setenv(name, value)
        yield started


@pytest.fixture
def kept(tmp_path: Path, double: VaultDouble) -> Kept:
    """Its cover is wrapped already, as epoch 2's."""
    made = Kept(tmp_path, covers=VaultCovers(NAME, double.access()))
    advance(made.path, read_master(made.path), lambda _: (), covers=made.covers)
    (made.path.parent / "cover-1.bin").unlink()
    return made


def keys(double: VaultDouble) -> list[int]:
    """The epochs whose keys the vault has, deleted ones too."""
    names = {key_name(NAME, epoch): epoch for epoch in range(1, 9)}
    return sorted(names[name] for name in {*double.vault.keys, *double.vault.deleted})


async def kinds(kept: Kept) -> list[str]:
    return [each.keys_destroyed for each in await kept.certificates()]


def files(kept: Kept) -> list[Path]:
    return sorted(kept.path.parent.glob("cover*"))


async def test_the_old_key_is_purged_and_no_copy_opens(kept: Kept, double: VaultDouble) -> None:
    [old] = files(kept)
    copy = old.read_bytes()
    await kept.file("R-1", SOMEBODY)
    await kept.run()
    assert await kinds(kept) == ["key-vault-purged"]
    assert keys(double) == [3]
    assert kept.erased() == sources(SOMEBODY)
    [new] = files(kept)
    assert (header_of(new.read_bytes()).epoch, header_of(copy).epoch) == (3, 2)
    with pytest.raises(KeyringError, match="is not in the vault"):
        kept.covers.unwrap(copy)


async def test_the_first_erasure_of_a_clear_keyring_wraps_it(
    tmp_path: Path, double: VaultDouble
) -> None:
    kept = Kept(tmp_path / "clear", covers=VaultCovers(NAME, double.access()))
    await kept.file("R-1", SOMEBODY)
    await kept.run()
    assert await kinds(kept) == ["file-unlinked"]  # copies of the clear file may lie anywhere
    assert all(is_wrapped(each.read_bytes()) for each in files(kept))
    await kept.file("R-2", ANOTHER)
    await kept.run()
    assert await kinds(kept) == ["file-unlinked", "key-vault-purged"]
    assert kept.erased() == sources(SOMEBODY, ANOTHER)


async def test_where_it_may_not_purge_it_is_effective_on_the_vaults_day(
    kept: Kept, double: VaultDouble
) -> None:
    double.vault.purge_protection = True
    double.vault.clock = 4_000_000_000  # later than any topic's copies
    await kept.file("R-1", SOMEBODY)
    await kept.run()
    [certificate] = await kept.certificates()
    assert certificate.keys_destroyed == "key-vault-scheduled"
    day = time_text((4_000_000_000 + 7 * DAY) * 1000)
    assert certificate.effective_at == certificate.keys_destroyed_at == day


@pytest.mark.parametrize("kill", [
    ("punctured", "before"), ("punctured", "between"), ("destroyed", "before"),
    ("destroyed", "between"), ("destroyed", "after"),
])  # fmt: skip
async def test_a_run_that_was_ended_is_finished(
    kept: Kept, double: VaultDouble, kill: tuple[str, str]
) -> None:
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(Killed):
        await kept.run(Kill(*kill))
    await kept.run()
    assert await kinds(kept) == ["key-vault-purged"]
    assert keys(double) == [3]
    assert [len(key.versions) for key in double.vault.keys.values()] == [1]
    assert kept.destroyed == [2]  # what was found before the files went is what is said
    assert len(files(kept)) == 1
    assert kept.erased() == sources(SOMEBODY)


@pytest.mark.parametrize("name", ["cover-9.bin", ".cover-9.bin.restoring"])
async def test_a_clear_cover_that_lies_beside_it_is_no_purge(
    kept: Kept, double: VaultDouble, name: str
) -> None:
    (kept.path.parent / name).write_bytes(bytes(40))
    (kept.path.parent / name).chmod(0o600)
    await kept.file("R-1", SOMEBODY)
    await kept.run()
    assert await kinds(kept) == ["file-unlinked"]
    assert keys(double) == [3]


async def test_whoever_came_back_leaves_no_older_key(kept: Kept, double: VaultDouble) -> None:
    subject = ("t1", "external", "CUST_NEW")
    tag = TagMaker(golden.KEYRING.trees[0].pepper).tag(subject)
    await kept.file("R-1", tag)
    await kept.run()
    [of_before] = [each.read_bytes() for each in files(kept)]
    await bring_back(kept.installation(), "customer", "CUST_NEW", "t1")
    assert keys(double) == [3, 4]
    await kept.file("R-2", SOMEBODY)
    await kept.run()
    assert await kinds(kept) == ["key-vault-purged"] * 2
    assert keys(double) == [5]
    with pytest.raises(KeyringError, match="is not in the vault"):
        kept.covers.unwrap(of_before)


async def test_a_vault_that_is_away_ends_a_run_and_the_next_goes_on(
    kept: Kept, double: VaultDouble
) -> None:
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(Killed):
        await kept.run(Kill("destroyed", "before"))
    double.stop()
    with pytest.raises(VaultAway):
        await kept.run()
    assert await kept.certificates() == []
    double.start()
    await kept.run()
    assert (await kinds(kept), keys(double)) == (["key-vault-purged"], [3])


async def test_without_the_vaults_setting_nothing_is_said_to_be_destroyed(
    kept: Kept, double: VaultDouble
) -> None:
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(Killed):
        await kept.run(Kill("destroyed", "before"))
    covers, kept.covers = kept.covers, LOCAL
    with pytest.raises(KeyringError, match="is wrapped by"):
        await kept.run()
    kept.covers = covers
    await kept.run()
    assert await kinds(kept) == ["key-vault-purged"]


def test_the_key_in_force_is_never_destroyed(kept: Kept, double: VaultDouble) -> None:
    [cover] = files(kept)
    stray = cover.with_name("cover-0123.bin")  # what a restore that was cut off may leave
    stray.write_bytes(cover.read_bytes())
    stray.chmod(0o600)
    cut = cover.with_name("cover-4567.bin")
    cut.write_bytes(cover.read_bytes()[:50])
    cut.chmod(0o600)
    destroy_keys(kept.path, 1, kept.covers)
    for epoch in (2, 3):
        with pytest.raises(KeyringError, match="are in force"):
            destroy_keys(kept.path, epoch, kept.covers)
    assert 2 in keys(double)
    assert kept.ring.cover


def test_a_stray_of_a_newer_release_is_not_passed_over(kept: Kept, double: VaultDouble) -> None:
    [cover] = files(kept)
    stray = cover.with_name("cover-0123.bin")
    stray.write_bytes(cover.read_bytes().replace(b"wrapped/1", b"wrapped/2"))
    stray.chmod(0o600)
    with pytest.raises(UnknownVersion):
        destroy_keys(kept.path, 1, kept.covers)


async def test_a_process_takes_a_wrapped_cover_over_once_the_vault_is_back(
    kept: Kept, double: VaultDouble
) -> None:
    taken: list[LoadedKeyring] = []

    async def adopt(newer: LoadedKeyring) -> None:
        taken.append(newer)

    async def newest() -> int:
        return 3

    watch = KeyringWatch(
        kept.path, 2, await kept.member(epoch=2), newest, adopt, kept.alarms, kept.covers
    )
    advance(kept.path, read_master(kept.path), lambda _: (), covers=kept.covers)
    double.stop()
    running = asyncio.create_task(watch.run())

    async def alarmed() -> bool:
        return any(alarm["key"] == "keyring:load" for alarm in kept.alarms.open())

    async def took() -> bool:
        watch.look()
        return bool(taken) and not await alarmed()

    await eventually(alarmed)
    assert taken == []
    double.start()
    await eventually(took)
    running.cancel()
    [newer] = taken
    assert (newer.keyring.epoch, len(newer.cover)) == (3, 40)


async def test_a_view_gets_the_cover_wrapped(kept: Kept, double: VaultDouble) -> None:
    view = kept.folder / "view/keyring.json"
    write_view(load_keyring(kept.path, kept.covers), kept.path, "worker", view.parent, kept.covers)
    kept.views.append(view)
    await kept.file("R-1", SOMEBODY)
    await kept.run()
    [here], [there] = files(kept), sorted(view.parent.glob("cover*"))
    assert here.read_bytes() == there.read_bytes()
    assert load_keyring(view, kept.covers).keyring.epoch == 3

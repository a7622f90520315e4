"""Restoring: never over what is newer or another's, and whole at every moment."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest

from audit_stream.errors import KeyringError
from audit_stream.keys.backup import Backup, open_backup, write_backup
from audit_stream.keys.file import create_keyring, load_keyring, write_successor, write_view
from audit_stream.keys.lock import RUN_FILE, keyring_lock
from audit_stream.keys.restore import restore
from tests.support.keyrings import TAG, erase, opens, rewrite
from tests.unit.keys.conftest import CHEAP, NAME, PHRASE

ROOT = Path(__file__).parents[3]
OTHER = bytes([255]) * 16


def backup_of(path: Path, name: str = "b") -> Backup:
    file = path.parent.parent / name
    write_backup(path, file, PHRASE, CHEAP)
    return open_backup(file, PHRASE)


def files(folder: Path) -> dict[str, bytes]:
    """Without the locks, which stay."""
    names = (each for each in folder.iterdir() if not each.name.endswith("lock"))
    return {each.name: each.read_bytes() for each in names}


def test_what_was_lost_is_back_and_its_owners_only(path: Path) -> None:
    erase(path)
    backup, before = backup_of(path), files(path.parent)
    shutil.rmtree(path.parent)
    assert restore(backup, path) == backup.keyring
    assert files(path.parent) == before
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert (opens(path), opens(path, OTHER)) == (False, True)


def test_to_restore_what_stands_there_changes_nothing(path: Path) -> None:
    backup, before = backup_of(path), files(path.parent)
    restore(backup, path)
    assert files(path.parent) == before


@pytest.mark.parametrize("damage", [b"", bytes(40)])
def test_a_damaged_cover_is_mended(path: Path, damage: bytes) -> None:
    backup = backup_of(path)
    (path.parent / "cover-1.bin").write_bytes(damage)
    ring = restore(backup, path)
    assert opens(path)
    assert sorted(files(path.parent)) == sorted(["keyring.json", ring.trees[0].cover])


def test_a_newer_one_takes_the_place_of_an_older_whose_tree_goes(path: Path) -> None:
    older = files(path.parent)
    erase(path)
    backup = backup_of(path)
    for name, data in older.items():
        (path.parent / name).write_bytes(data)
    assert opens(path)
    assert restore(backup, path).epoch == 2
    assert not opens(path)
    assert older["cover-1.bin"] not in files(path.parent).values()


def test_an_older_one_is_refused_and_touches_nothing(path: Path) -> None:
    backup = backup_of(path)
    erase(path)
    before = files(path.parent)
    with pytest.raises(KeyringError, match="epoch 2, the backup 1: it would bring back"):
        restore(backup, path)
    assert files(path.parent) == before


def test_another_archives_is_refused(path: Path, tmp_path: Path) -> None:
    backup = backup_of(path)
    for name in ("another.example", NAME):  # made anew under the same name: another one, too
        other = tmp_path / name / "keyring.json"
        create_keyring(other, name)
        before = files(other.parent)
        with pytest.raises(KeyringError, match="of another archive"):
            restore(backup, other)
        assert files(other.parent) == before


def test_no_newer_signing_key_is_lost(path: Path, tmp_path: Path) -> None:
    backup = backup_of(path)
    write_successor(load_keyring(path), path, tmp_path / "next")
    successor = tmp_path / "next" / "keyring.json"
    with pytest.raises(KeyringError, match="the backup's epoch and other keys"):
        restore(backup, successor)
    erase(path)
    newer = backup_of(path, "c")
    with pytest.raises(KeyringError, match="has a segment_key that the backup lacks"):
        restore(newer, successor)


def test_a_view_does_not_take_the_place_of_more(path: Path, tmp_path: Path) -> None:
    write_view(load_keyring(path), path, "worker", tmp_path / "w")
    worker = tmp_path / "w" / "keyring.json"
    same = backup_of(worker, "same")
    with pytest.raises(KeyringError, match="other keys"):
        restore(same, path)
    erase(worker)
    with pytest.raises(KeyringError, match="has a log_key that the backup lacks"):
        restore(backup_of(worker, "newer"), path)


def test_one_with_other_years_at_the_same_epoch_is_refused(path: Path) -> None:
    backup = backup_of(path)
    ring = load_keyring(path).keyring
    rewrite(path, replace(ring, years=dict(list(ring.years.items())[1:])))  # one was shredded
    with pytest.raises(KeyringError, match="other keys"):
        restore(backup, path)


def test_what_cannot_be_read_is_not_replaced(path: Path) -> None:
    backup = backup_of(path)
    for damaged in (b"", b"{}", path.read_bytes()[:-9]):
        path.write_bytes(damaged)
        with pytest.raises(KeyringError, match="the keyring cannot be used"):
            restore(backup, path)
        assert path.read_bytes() == damaged


def test_a_key_trusted_since_stays_trusted(path: Path, tmp_path: Path) -> None:
    write_view(load_keyring(path), path, "gateway", tmp_path / "g")
    shutil.copy(tmp_path / "g" / "public.txt", path.parent)
    backup = backup_of(path)
    write_successor(load_keyring(path), path, tmp_path / "next")
    shutil.copy(tmp_path / "next" / "public.txt", path.parent)
    restore(backup, path)
    assert (
        load_keyring(path).trusted.kids == load_keyring(tmp_path / "next/keyring.json").trusted.kids
    )
    (path.parent / "public.txt").write_text("nonsense")
    with pytest.raises(KeyringError, match=r"public.txt cannot be used"):
        restore(backup, path)


def test_a_place_that_cannot_be_written_is_named(path: Path, tmp_path: Path) -> None:
    backup = backup_of(path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(KeyringError, match="cannot"):
        restore(backup, tmp_path / "file" / "keyring.json")


def test_nothing_is_restored_while_an_erasure_is_at_work(path: Path) -> None:
    """It removes the covers that no keyring names: those that a restore put there a moment ago."""
    backup = backup_of(path)
    path.unlink()
    before = files(path.parent)
    with (
        keyring_lock(path, name=RUN_FILE),
        pytest.raises(KeyringError, match=r"another process has held .*\.erasing\.lock") as raised,
    ):
        restore(backup, path)
    assert "an erasure, a hold or a disposal is at work" in str(raised.value.hint)
    assert files(path.parent) == before
    restore(backup, path)
    assert opens(path)


def test_a_restore_waits_for_who_changes_the_keyring(path: Path) -> None:
    backup = backup_of(path)
    path.unlink()
    with ThreadPoolExecutor(1) as beside:
        with keyring_lock(path):
            restored = beside.submit(restore, backup, path)
            assert wait([restored], timeout=0.3).not_done
            assert not path.exists()
        assert restored.result(timeout=30) == backup.keyring


def test_what_another_restore_left_does_not_stay(path: Path) -> None:
    backup = backup_of(path)
    left = path.with_name(".cover-9-9.bin.restoring")
    left.write_bytes(b"of another backup")
    restore(backup, path)
    assert not left.exists()


def test_one_that_was_put_there_meanwhile_is_not_replaced(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, sync = backup_of(path), os.fsync
    ring = load_keyring(path).keyring
    meanwhile = replace(ring, epoch=5)

    def synced(handle: int) -> None:
        rewrite(path, meanwhile)
        sync(handle)

    monkeypatch.setattr(os, "fsync", synced)
    with pytest.raises(KeyringError, match="changed meanwhile"):
        restore(backup, path)
    assert load_keyring(path).keyring == meanwhile


def test_what_stands_there_in_the_end_is_looked_at(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, rename = backup_of(path), os.replace

    def renamed(source: Path, target: Path) -> None:
        rename(source, target)
        if target == path:
            rewrite(path, replace(load_keyring(path).keyring, epoch=7))

    monkeypatch.setattr(os, "replace", renamed)
    with pytest.raises(KeyringError, match="is not what was restored"):
        restore(backup, path)


# The process ends at its n-th call that changes the folder or makes it last, for each n there is.
CRASHES = """
import os, shutil, sys
from pathlib import Path
from audit_stream.keys.backup import open_backup
from audit_stream.keys.restore import restore
root, phrase = Path(sys.argv[1]), sys.argv[2].encode()
backup = open_backup(root / "b", phrase)

def dying(call, left):
    def called(*args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            os._exit(9)
        return call(*args, **kwargs)
    return called

for n in range(100):
    folder = root / f"crash-{n}"
    shutil.copytree(root / "keys", folder)
    if not (child := os.fork()):
        left = [n]
        for name in ("open", "fsync", "replace", "unlink"):
            setattr(os, name, dying(getattr(os, name), left))
        restore(backup, folder / "keyring.json")
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
print(n)
"""


def test_whenever_it_crashes_a_whole_keyring_stands_there(path: Path, tmp_path: Path) -> None:
    older = files(path.parent)
    erase(path)
    backup = backup_of(path)
    for name, data in older.items():
        (path.parent / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", CRASHES, str(tmp_path), PHRASE.decode()],
        capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    epochs = []
    for n in range(int(done.stdout)):
        crashed = tmp_path / f"crash-{n}" / "keyring.json"
        epochs.append(load_keyring(crashed).keyring.epoch)
        assert opens(crashed, TAG) == (epochs[-1] == 1)
        assert {stat.S_IMODE(each.stat().st_mode) for each in crashed.parent.iterdir()} == {0o600}
        restore(backup, crashed)
        assert load_keyring(crashed).keyring.epoch == 2
        assert not [each for each in crashed.parent.iterdir() if each.suffix == ".restoring"]
    assert epochs == sorted(epochs)
    assert {1, 2} == {*epochs}
    assert len(epochs) > 8

"""Durability: what is synced before what, what a start cleans up, how errors are told apart."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from audit_stream.errors import StoreError, StoreRefused, StoreTransient
from audit_stream.ports import PutResult
from audit_stream.stores.disk import store_errors
from audit_stream.stores.file import FileStore
from audit_stream.stores.subjects import FileSubjectStore


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The syncs (by file) and links made, in order; they are still done."""
    done: list[str] = []
    fsync, link, rename, unlink = os.fsync, os.link, Path.rename, Path.unlink

    def relative(path: str | Path) -> str:
        text = str(Path(path).relative_to(tmp_path.resolve()))
        return "temporary" if ".tmp/" in text else text

    def record_fsync(descriptor: int) -> None:
        done.append(f"sync {relative(Path(f'/proc/self/fd/{descriptor}').readlink())}")
        fsync(descriptor)

    def record_link(source: Path, target: Path) -> None:
        done.append(f"link {relative(target)}")
        link(source, target)

    def record_rename(source: Path, target: Path) -> Path:
        done.append(f"rename {relative(target)}")
        return rename(source, target)

    def record_unlink(path: Path, missing_ok: bool = False) -> None:
        if relative(path) != "temporary":
            done.append(f"unlink {relative(path)}")
        unlink(path, missing_ok)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "link", record_link)
    monkeypatch.setattr(Path, "rename", record_rename)
    monkeypatch.setattr(Path, "unlink", record_unlink)
    return done


def test_bytes_and_new_folders_are_synced_before_the_link_and_the_folder_after(
    tmp_path: Path, steps: list[str]
) -> None:
    store = FileStore(tmp_path / "a")
    assert steps == ["sync .", "sync ."]  # the root's entry
    steps.clear()
    store.put_sync("x/y/1", b"one")
    assert steps == ["sync temporary", "sync a", "sync a/x", "link a/x/y/1", "sync a/x/y"]


def test_a_put_into_a_known_folder_costs_two_syncs(tmp_path: Path, steps: list[str]) -> None:
    store = FileStore(tmp_path / "a")
    store.put_sync("x/y/1", b"one")
    steps.clear()
    store.put_sync("x/y/2", b"two")
    assert steps == ["sync temporary", "link a/x/y/2", "sync a/x/y"]


def test_a_folder_someone_else_made_is_synced_too(tmp_path: Path, steps: list[str]) -> None:
    (tmp_path / "a/x").mkdir(parents=True)
    store = FileStore(tmp_path / "a")
    steps.clear()
    store.put_sync("x/1", b"one")
    assert steps == ["sync temporary", "sync a", "link a/x/1", "sync a/x"]


@pytest.mark.parametrize("other", [b"one", b"two"])
def test_a_taken_name_is_durable_too(tmp_path: Path, steps: list[str], other: bytes) -> None:
    FileStore(tmp_path / "a").put_sync("x/1", b"one")
    store = FileStore(tmp_path / "a")
    steps.clear()
    store.put_sync("x/1", other)
    assert steps == ["sync a/x"]


def test_a_rewrite_is_synced_before_and_after_the_rename(tmp_path: Path, steps: list[str]) -> None:
    store = FileSubjectStore(tmp_path / "s")
    store.create_sync("x/1", b"one")
    found = store.get_sync("x/1")
    assert found is not None
    steps.clear()
    assert store.replace_sync("x/1", b"two", found.etag)
    assert steps == ["sync temporary", "rename s/x/1", "sync s/x"]


def test_a_removal_is_synced(tmp_path: Path, steps: list[str]) -> None:
    store = FileSubjectStore(tmp_path / "s")
    store.create_sync("x/1", b"one")
    found = store.get_sync("x/1")
    assert found is not None
    steps.clear()
    assert store.remove_sync("x/1", found.etag)
    assert steps == ["unlink s/x/1", "sync s/x"]


def test_objects_cannot_be_written_by_accident(tmp_path: Path) -> None:
    FileStore(tmp_path).put_sync("a", b"one")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) & 0o333 == 0


def test_subject_objects_are_for_their_owner_only(tmp_path: Path) -> None:
    FileSubjectStore(tmp_path).create_sync("a", b"one")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_a_start_removes_what_a_dead_writer_left(tmp_path: Path) -> None:
    FileStore(tmp_path)
    (tmp_path / ".tmp/4711-dead").write_bytes(b"half")
    FileStore(tmp_path)
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_a_start_leaves_the_file_of_a_live_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another store starts between the writing of the bytes and the link."""
    store, link = FileStore(tmp_path), os.link

    def start_another_first(source: Path, target: Path) -> None:
        FileStore(tmp_path)
        link(source, target)

    monkeypatch.setattr(os, "link", start_another_first)
    assert store.put_sync("a", b"one") is PutResult.STORED
    assert store.get_sync("a") == b"one"


def test_a_start_between_creation_and_lock_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep takes the new file before its writer could lock it; the writer makes another."""
    store, flock = FileStore(tmp_path), fcntl.flock
    swept: list[list[Path]] = []

    def start_another_first(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX and not swept:
            swept.append(list((tmp_path / ".tmp").iterdir()))
            FileStore(tmp_path)
            assert list((tmp_path / ".tmp").iterdir()) == []
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", start_another_first)
    assert store.put_sync("a", b"one") is PutResult.STORED
    assert len(swept) == 1
    assert store.get_sync("a") == b"one"


def test_a_read_only_store_creates_nothing(tmp_path: Path) -> None:
    FileStore(tmp_path, read_only=True)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreRefused, match="no folder"):
        FileStore(tmp_path / "missing", read_only=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read_only", [False, True])
def test_a_replaced_root_is_not_an_empty_archive(tmp_path: Path, read_only: bool) -> None:
    """As when the file system is unmounted and its mount point is left."""
    root = tmp_path / "a"
    FileStore(root).put_sync("x", b"one")
    store = FileStore(root, read_only)
    root.rename(tmp_path / "elsewhere")
    for _ in range(2):
        with pytest.raises(StoreTransient):
            store.get_sync("x")
        with pytest.raises(StoreTransient):
            store.names_sync("")
        root.mkdir(exist_ok=True)
    with pytest.raises(StoreError):
        store.put_sync("y", b"two")
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "kind", "hint"),
    [
        (errno.ENOSPC, StoreTransient, "disk space"),
        (errno.EDQUOT, StoreTransient, "quota"),
        (errno.EIO, StoreTransient, "disk"),
        (errno.EAGAIN, StoreTransient, ""),
        (errno.EMFILE, StoreTransient, "open files"),
        (errno.ESTALE, StoreTransient, "mounted"),
        (errno.ETIMEDOUT, StoreTransient, ""),
        (12345, StoreTransient, ""),
        (errno.EACCES, StoreRefused, "access"),
        (errno.EPERM, StoreRefused, "access"),
        (errno.EROFS, StoreRefused, "read-only"),
        (errno.ENOTDIR, StoreRefused, "folder"),
    ],
)
def test_errors_say_whether_trying_again_can_help(
    number: int, kind: type[StoreError], hint: str
) -> None:
    with pytest.raises(StoreError) as caught, store_errors("storing a/b"):
        raise OSError(number, os.strerror(number))
    assert type(caught.value) is kind
    assert hint in caught.value.hint
    assert caught.value.message == f"storing a/b: {os.strerror(number)}"


def test_a_full_disk_is_transient_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(tmp_path)
    with monkeypatch.context() as patched:

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patched.setattr(os, "fsync", full)
        with pytest.raises(StoreTransient, match="No space left"):
            store.put_sync("a", b"one")
    assert list((tmp_path / ".tmp").iterdir()) == []
    assert store.names_sync("") == []
    assert store.put_sync("a", b"one") is PutResult.STORED


def test_a_symbolic_link_is_no_object(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "a")
    (tmp_path / "secret").write_bytes(b"outside")
    (tmp_path / "a/x").symlink_to(tmp_path / "secret")
    with pytest.raises(StoreRefused, match="symbolic link"):
        store.get_sync("x")


def test_another_holder_of_the_lock_is_waited_for_only_so_long(tmp_path: Path) -> None:
    store = FileSubjectStore(tmp_path, lock_wait=0.05)
    store.create_sync("s/1", b"one")
    found = store.get_sync("s/1")
    assert found is not None
    with (tmp_path / "s/.lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreTransient, match="another process"):
            store.replace_sync("s/1", b"two", found.etag)
    assert store.replace_sync("s/1", b"two", found.etag)

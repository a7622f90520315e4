"""Listing: the order of an object store, and only the folders that matter are read."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.errors import StoreRefused
from audit_stream.stores.file import FileStore
from audit_stream.stores.listing import walk
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.names import is_part

# Characters on both sides of the slash, which is what makes the order of folders differ.
PARTS = st.text("!+-.0a~", min_size=1, max_size=3).filter(is_part)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


def without_folders(names: list[str]) -> list[str]:
    """The names that are not the folder of another one."""
    return [n for n in names if not any(other.startswith(n + "/") for other in names)]


NAME_SETS = st.lists(NAMES, max_size=14, unique=True).map(without_folders)
LIMITS = st.none() | st.integers(0, 5)


@st.composite
def queries(draw: st.DrawFn) -> tuple[list[str], str, str, int | None]:
    """Names, and a prefix and an `after` that often have to do with them."""
    names = draw(NAME_SETS)
    near = st.sampled_from([*names, "a"]).flatmap(
        lambda name: st.integers(0, len(name)).map(lambda end: name[:end])
    )
    prefix = draw(st.just("") | near)
    after = draw(st.just("") | near | NAMES | near.map(lambda text: text + "~"))
    return names, prefix, after, draw(LIMITS)


def expected(names: list[str], prefix: str, after: str, limit: int | None) -> list[str]:
    """The model: what the contract says, on a plain list."""
    return sorted(n for n in names if n.startswith(prefix) and n > after)[:limit]


@given(queries())
def test_a_folder_lists_as_the_model_does(query: tuple[list[str], str, str, int | None]) -> None:
    names, prefix, after, limit = query
    with TemporaryDirectory() as folder:
        for name in names:
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        store = FileStore(Path(folder), read_only=True)
        found = store.names_sync(prefix, after=after, limit=limit)
    assert found == expected(names, prefix, after, limit)


@given(queries())
async def test_memory_lists_as_the_model_does(
    query: tuple[list[str], str, str, int | None],
) -> None:
    names, prefix, after, limit = query
    store = MemoryWormStore()
    for name in names:
        await store.put_if_absent(name, b"x", {})
    found = await store.names(prefix, after=after, limit=limit)
    assert found == expected(names, prefix, after, limit)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Ten partitions of three segments, and things that are no objects."""
    for partition in range(10):
        folder = tmp_path / f"segments/t/{partition:05d}"
        folder.mkdir(parents=True)
        for base in range(3):
            (folder / f"{base:020d}.gz").touch()
    (tmp_path / ".tmp").mkdir()
    (tmp_path / ".tmp/half-written").touch()
    (tmp_path / "segments/.lock").touch()
    (tmp_path / "segments/with space").touch()
    return tmp_path


@pytest.fixture
def read_folders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the folders read, in order."""
    read: list[str] = []
    scandir = os.scandir

    def recorded(path: Path) -> object:
        read.append(path.name)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", recorded)
    return read


def test_folders_outside_the_prefix_are_not_read(archive: Path, read_folders: list[str]) -> None:
    assert len(list(walk(archive, "segments/t/00004/0", ""))) == 3
    assert read_folders == ["00004"]


def test_siblings_that_begin_otherwise_are_not_read(archive: Path, read_folders: list[str]) -> None:
    assert len(list(walk(archive, "segments/t/0000", ""))) == 30
    read_folders.clear()
    assert len(list(walk(archive, "segments/t/00007", ""))) == 3
    assert read_folders == ["t", "00007"]


def test_the_first_name_reads_one_folder_a_level(archive: Path, read_folders: list[str]) -> None:
    assert next(walk(archive, "", "")) == f"segments/t/00000/{0:020d}.gz"
    assert read_folders == [archive.name, "segments", "t", "00000"]


def test_folders_before_after_are_not_read(archive: Path, read_folders: list[str]) -> None:
    after = f"segments/t/00007/{1:020d}.gz"
    assert next(walk(archive, "segments/", after)) == f"segments/t/00007/{2:020d}.gz"
    assert read_folders == ["segments", "t", "00007"]


def test_what_could_not_be_an_object_is_passed_over(archive: Path) -> None:
    assert len(list(walk(archive, "", ""))) == 30


def test_a_symbolic_link_is_not_passed_over(archive: Path) -> None:
    """A link to a folder would hide all segments in it from every reader."""
    (archive / "segments/u").symlink_to(archive / "segments/t")
    with pytest.raises(StoreRefused, match="symbolic link"):
        FileStore(archive, read_only=True).names_sync("segments/")

"""The access journal: durable before it returns, whole lines, sealed once, nothing lost."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from audit_stream.errors import (
    ConfigError,
    ForkAlarm,
    FormatError,
    StateError,
    StoreError,
    StoreTransient,
    UnknownVersion,
)
from audit_stream.evidence.access import JournalPart, decode_part
from audit_stream.evidence.log_names import access_name
from audit_stream.gateway.journal import Journal
from audit_stream.gateway.parts import PartFiles, identity, part_numbers
from audit_stream.gateway.sealing import drain
from audit_stream.stores.memory import MemoryWormStore
from tests.support.access import entry, members
from tests.support.chains import NAME


def files_in(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


def lines(folder: Path) -> list[str]:
    """The messages of what is not sealed."""
    paths = sorted(folder.glob("part-*.jsonl"))
    found = [line for path in paths for line in path.read_text().splitlines()]
    return [json.loads(line)["messages"][0] for line in found]


async def sealed(store: MemoryWormStore) -> list[str]:
    """The messages of what is, each part following the one before."""
    found: list[str] = []
    before: JournalPart | None = None
    for name in await store.names("access/"):
        part = decode_part(await store.get(name) or b"", name)
        assert part.name == name
        assert part.prev == (None if before is None else before.leaf)
        found += [json.loads(each)["messages"][0] for each in part.entries]
        before = part
    return found


async def test_what_was_recorded_is_on_disk(tmp_path: Path) -> None:
    folder = tmp_path / "j"
    async with Journal(folder, NAME) as journal:
        await journal.record(members("0"))
        assert lines(folder) == ["0"]
        await asyncio.gather(*(journal.record(members(str(n))) for n in range(1, 500)))
        assert lines(folder) == [str(n) for n in range(500)]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder, *folder.iterdir()))


def test_names_are_on_disk_before_a_line_in_them_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    really = os.fsync

    def note(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        really(handle)

    monkeypatch.setattr(os, "fsync", note)
    folder = tmp_path / "a" / "b"
    files = PartFiles(folder, NAME)
    files.open()
    first = folder / f"part-{0:020d}.jsonl"
    assert {tmp_path, folder.parent, folder, first} <= set(synced)
    assert synced[-1] == folder
    files.append(entry("a") + b"\n")
    assert synced[-1] == first
    synced.clear()
    files.roll()
    assert synced[-1] == folder
    files.close()


async def test_many_share_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    really = os.fsync
    async with Journal(tmp_path, NAME) as journal:
        monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(handle), really(handle)))
        await asyncio.gather(*(journal.record(members(str(n))) for n in range(300)))
        assert len(synced) < 10


async def test_a_disk_that_fails_lets_nothing_through_and_may_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.write

    def half(handle: int, data: Any) -> int:
        if len(data) < 50:
            raise OSError(28, "No space left on device")
        return really(handle, bytes(data)[: len(data) // 2])

    async with Journal(tmp_path, NAME) as journal:
        await journal.record(members("before"))
        monkeypatch.setattr(os, "write", half)
        for _ in range(2):
            with pytest.raises(StateError, match="No space left"):
                await journal.record(members("never"))
        monkeypatch.setattr(os, "write", really)
        await journal.record(members("after"))
    store = MemoryWormStore()
    await drain(tmp_path, store)
    assert await sealed(store) == ["before", "after"]


async def test_what_cannot_be_synced_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.fsync

    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    async with Journal(tmp_path, NAME) as journal:
        monkeypatch.setattr(os, "fsync", fails)
        with pytest.raises(StateError, match="Input/output"):
            await journal.record(members("never"))
        monkeypatch.setattr(os, "fsync", really)
        await journal.record(members("after"))
        assert lines(tmp_path) == ["after"]


async def test_a_disk_that_hangs_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = threading.Event()
    really = os.fsync

    def hang(handle: int) -> None:
        assert hanging.wait(30)
        really(handle)

    async with Journal(tmp_path, NAME) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", hang)
            patch.setattr("audit_stream.gateway.journal._RECORD_SECONDS", 0.02)
            for message in ("on its way", "waits behind it", "so does this"):
                with pytest.raises(StateError, match="in time"):
                    await journal.record(members(message))
            assert journal._waiting == []  # what nobody waits for any more takes no memory
            hanging.set()
        await journal.record(members("after"))
        assert lines(tmp_path) == ["on its way", "after"]


async def test_parts_are_sealed_in_order_and_go(tmp_path: Path) -> None:
    store = MemoryWormStore()
    async with Journal(tmp_path, NAME) as journal:
        assert await drain(tmp_path, store) == 0
        for number in range(3):
            await journal.record(members(str(number)))
            await journal.roll()
            await journal.roll()  # nothing in it: nothing happens
        await journal.record(members("open"))
        assert await drain(tmp_path, store) == 3
        assert await sealed(store) == ["0", "1", "2"]
        assert lines(tmp_path) == ["open"]
        assert await drain(tmp_path, store) == 0
    assert await drain(tmp_path, store) == 1  # closed at the end
    async with Journal(tmp_path, NAME) as journal:
        await journal.record(members("again"))
    assert await drain(tmp_path, store) == 1
    assert await sealed(store) == ["0", "1", "2", "open", "again"]


class Failing(MemoryWormStore):
    """Every second put fails; of those, every second has landed."""

    count = 0

    async def put_if_absent(self, name: str, data: bytes, metadata: Any) -> Any:
        self.count += 1
        if self.count % 4 == 1:
            await super().put_if_absent(name, data, metadata)
        if self.count % 2 == 1:
            raise StoreTransient("away")
        return await super().put_if_absent(name, data, metadata)


async def test_no_entry_is_lost_or_doubled_by_a_store_that_fails(tmp_path: Path) -> None:
    store = Failing()
    async with Journal(tmp_path, NAME) as journal:
        for number in range(20):
            await journal.record(members(str(number)))
            await journal.roll()
            try:
                await drain(tmp_path, store)
            except StoreError:
                continue
    for _ in range(40):
        try:
            await drain(tmp_path, store)
        except StoreError:
            continue
    assert await sealed(store) == [str(number) for number in range(20)]
    assert lines(tmp_path) == []


async def test_two_who_seal_at_once_seal_once(tmp_path: Path) -> None:
    store = MemoryWormStore()
    async with Journal(tmp_path, NAME) as journal:
        for number in range(10):
            await journal.record(members(str(number)))
            await journal.roll()
        await asyncio.gather(*(drain(tmp_path, store) for _ in range(4)))
    assert await sealed(store) == [str(number) for number in range(10)]


async def test_a_torn_line_is_cut_off_at_the_start(tmp_path: Path) -> None:
    async with Journal(tmp_path, NAME) as journal:
        await journal.record(members("a"))
        (newest,) = (tmp_path / f"part-{number:020d}.jsonl" for number in part_numbers(tmp_path))
        copy = newest.read_bytes()
    for torn, left in ((copy + b'{"caller', ["a"]), (b'{"caller', [])):
        folder = tmp_path / str(len(torn))
        folder.mkdir()
        shutil.copy(tmp_path / "journal.json", folder)
        (folder / newest.name).write_bytes(torn)
        store = MemoryWormStore()
        async with Journal(folder, NAME) as journal:
            await journal.record(members("b"))
        await drain(folder, store)
        assert await sealed(store) == [*left, "b"]


async def test_blocks_that_came_to_disk_in_another_order_are_cut_off_and_kept(
    tmp_path: Path,
) -> None:
    files = PartFiles(tmp_path, NAME)
    files.open()
    files.append(entry("a") + b"\n")
    newest = tmp_path / f"part-{0:020d}.jsonl"
    torn = b"\0" * 100 + b'b"}\n' + entry("never said") + b"\n" + b'{"caller'
    newest.write_bytes(newest.read_bytes() + torn)
    os.close(files._lock)  # as if it had been killed
    store = MemoryWormStore()
    async with Journal(tmp_path, NAME) as journal:
        await journal.record(members("b"))
    await drain(tmp_path, store)
    assert await sealed(store) == ["a", "b"]
    (aside,) = files_in(tmp_path, "torn-*")
    assert aside.read_bytes() == torn
    assert aside.stat().st_mode & 0o077 == 0


async def test_a_disk_that_fails_at_the_end_keeps_what_counts_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    really = os.open

    def fails(path: Any, *given: Any) -> int:
        if str(path).endswith(f"{1:020d}.jsonl"):
            raise OSError(28, "No space left on device")
        return really(path, *given)

    with monkeypatch.context() as patch:
        async with Journal(tmp_path, NAME) as journal:
            await journal.record(members("a"))
            patch.setattr(os, "open", fails)
    assert "No space left" in caplog.text
    async with Journal(tmp_path, NAME) as journal:
        await journal.record(members("b"))
    store = MemoryWormStore()
    await drain(tmp_path, store)
    assert await sealed(store) == ["a", "b"]


async def test_an_error_nobody_thought_of_is_told_and_the_next_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.write

    def fails(handle: int, data: Any) -> int:
        really(handle, data[:30])
        raise MemoryError

    async with Journal(tmp_path, NAME) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fails)
            with pytest.raises(StateError, match="MemoryError"):
                await journal.record(members("never"))
        await journal.record(members("after"))
        assert lines(tmp_path) == ["after"]


@pytest.mark.parametrize("damage", [b"\0", b'"kind":"read","more":1', b'"kind": "read"', b""])
async def test_what_no_reader_would_take_is_not_sealed_for_good(
    tmp_path: Path, damage: bytes
) -> None:
    async with Journal(tmp_path, NAME) as journal:
        for message in ("a", "b", "c"):
            await journal.record(members(message))
    first, _ = files_in(tmp_path, "part-*")
    good = first.read_bytes()
    head, middle, *rest = good.split(b"\n")
    first.write_bytes(b"\n".join([head, middle.replace(b'"kind":"read"', damage), *rest]))
    store = MemoryWormStore()
    with pytest.raises(FormatError, match="entry 1"):
        await drain(tmp_path, store)
    assert await store.names("") == []
    first.write_bytes(good)
    await drain(tmp_path, store)
    assert await sealed(store) == ["a", "b", "c"]


async def test_a_newer_releases_entries_are_not_taken_for_torn(tmp_path: Path) -> None:
    async with Journal(tmp_path, NAME) as journal:
        await journal.record(members("a"))
    newest = files_in(tmp_path, "part-*")[-1]
    newer = entry("b").replace(b"entry/1", b"entry/2") + b"\n"
    newest.write_bytes(newer)
    async with Journal(tmp_path, NAME):
        pass
    assert newest.read_bytes() == newer
    store = MemoryWormStore()
    with pytest.raises(UnknownVersion):
        await drain(tmp_path, store)
    assert await sealed(store) == ["a"]


async def test_a_folder_that_cannot_be_read_is_said_in_our_words(tmp_path: Path) -> None:
    async with Journal(tmp_path, NAME) as journal:
        await journal.record(members("a"))
    first, _ = files_in(tmp_path, "part-*")
    good = first.read_bytes()
    first.unlink()
    first.mkdir()
    with pytest.raises(StateError, match="Is a directory"):
        await drain(tmp_path, MemoryWormStore())
    first.rmdir()
    first.write_bytes(good)
    assert await drain(tmp_path, MemoryWormStore()) == 1


async def test_another_object_under_a_parts_name_is_loud(tmp_path: Path) -> None:
    store = MemoryWormStore()
    async with Journal(tmp_path, NAME) as journal:
        await journal.record(members("a"))
    name = access_name(identity(tmp_path)[0], 0)
    await store.put_if_absent(name, b"forged", {})
    with pytest.raises(ForkAlarm, match="another than this journal's part"):
        await drain(tmp_path, store)
    assert lines(tmp_path) == ["a"]


async def test_a_store_without_the_part_before_gets_none(tmp_path: Path) -> None:
    for message in ("a", "b"):
        async with Journal(tmp_path, NAME) as journal:
            await journal.record(members(message))
        if message == "a":
            await drain(tmp_path, MemoryWormStore())
    with pytest.raises(StateError, match="is missing"):
        await drain(tmp_path, MemoryWormStore())
    assert lines(tmp_path) == ["b"]


async def test_a_folder_is_one_gateways_and_one_archives(tmp_path: Path) -> None:
    async with Journal(tmp_path, NAME):
        with pytest.raises(ConfigError, match="in use by another gateway"):
            await Journal(tmp_path, NAME).__aenter__()
    with pytest.raises(ConfigError, match="of another archive"):
        await Journal(tmp_path, "other").__aenter__()
    (tmp_path / "journal.json").write_text("{}")
    with pytest.raises(ConfigError, match="cannot be used"):
        await Journal(tmp_path, NAME).__aenter__()


WRITER = """
import sys
from pathlib import Path
from audit_stream.gateway.parts import PartFiles
from tests.support.access import entry
files = PartFiles(Path(sys.argv[1]), sys.argv[2])
files.open()
number = int(sys.argv[3])
while True:
    number += 1
    files.append(entry(str(number)) + b"\\n")
    print(number, flush=True)
    if number % 7 == 0:
        files.roll()
"""


def killed(folder: Path, said: int) -> int:
    """The last number a writer said before it was killed."""
    command = [sys.executable, "-c", WRITER, str(folder), NAME, str(said)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(25):
            said = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split("\n")
    return max([said, *map(int, filter(str.isdigit, rest))])


async def test_a_writer_killed_again_and_again_loses_nothing_it_said(tmp_path: Path) -> None:
    store, said = MemoryWormStore(), 0
    for _ in range(4):
        said = await asyncio.to_thread(killed, tmp_path, said)
        await drain(tmp_path, store)
    files = PartFiles(tmp_path, NAME)
    files.open()
    files.append(entry("last") + b"\n")
    files.close()
    await drain(tmp_path, store)
    found = await sealed(store)
    assert found.pop() == "last"
    numbers = list(map(int, found))
    assert sorted(set(numbers)) == list(range(1, max(numbers) + 1))
    assert max(numbers) >= said
    assert len(numbers) - len(set(numbers)) <= 4  # written, and not said, before a kill

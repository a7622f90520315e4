"""The index is kept up to date for ever: what fails is said, and tried again."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audit_stream.bundle.messages import Collector
from audit_stream.errors import StoreTransient
from audit_stream.evidence.register import Register
from audit_stream.evidence.signing import LineSigner
from audit_stream.gateway import followed as module
from audit_stream.gateway.service import Service
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.lookup import Lookup
from audit_stream.index.rows import FORGOTTEN, LOG_SIZE, Pair
from audit_stream.index.tail import Archive, Tail
from audit_stream.keys.file import load_cover, load_keyring
from audit_stream.notary.log import ArchiveLog
from audit_stream.settings import Settings
from audit_stream.stores.disposal.file import FileDisposer
from audit_stream.stores.file import FileStore
from audit_stream.stores.subjects import FileSubjectStore
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support import golden
from tests.support.disposing import LATER_MS, TAG, Scene
from tests.support.eventually import eventually
from tests.support.registers import put, redaction
from tests.unit.gateway.conftest import installed, log_all

PERSONAL = "+4915112345678"


class Odd(FileStore):
    """Fails in a way that no store should, then in one that may pass, then no more."""

    def __init__(self, root: Path, board: AlarmBoard) -> None:
        super().__init__(root)
        self.board, self.failures = board, [ValueError(PERSONAL), StoreTransient("away")]
        self.open: list[list[str]] = []  # alarms, at each listing

    async def names(self, prefix: str, **named: Any) -> list[str]:
        self.open.append([str(alarm["summary"]) for alarm in self.board.open()])
        if self.failures:
            raise self.failures.pop(0)
        return await super().names(prefix, **named)


@asynccontextmanager
async def served(
    tmp_path: Path, board: AlarmBoard, *, logged: bool = False
) -> AsyncIterator[tuple[Service, Odd]]:
    """A service on a store that is odd at first."""
    settings = installed(tmp_path)
    if logged:
        await log_all(settings)
    ring, store = load_keyring(settings.keyring), Odd(settings.archive_path, board)
    index = ArchiveIndex.open(settings.index_dir, ring.keyring.archive, ring.keyring.index_key)
    archive = Archive(
        store, FileSubjectStore(tmp_path / "archive-subjects"), ring.trusted, ring.keyring
    )
    log = ArchiveLog(store, ring.log_key)

    async def nobody() -> int | None:
        return None

    service = Service(
        archive=archive, index=index, tail=Tail(archive, index, board), alarms=board,
        lookup=Lookup(index, archive, lambda tree: load_cover(settings.keyring, tree)),
        archive_log=log, vouched=nobody, now=lambda: "2026-11-25T12:00:00.000Z",
        collector=Collector(store=store, log=log, segment_keys=ring.trusted.publics),
    )  # fmt: skip

    yield service, store
    index.close()
    await store.close()


@asynccontextmanager
async def keeping(service: Service) -> AsyncIterator[None]:
    task = asyncio.create_task(service.keep_fresh(0.01))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_error_nobody_thought_of_is_an_alarm_until_it_goes_well(tmp_path: Path) -> None:
    board = AlarmBoard("gateway")
    async with served(tmp_path, board) as (service, store):

        async def well() -> bool:
            return service.caught_up and board.open() == []

        async with keeping(service):
            await eventually(well)
    assert store.open[0] == []
    (said,) = store.open[1]
    assert said.startswith("the index is not brought up to date: ValueError at test_fresh.py:")
    assert PERSONAL not in said


async def test_a_long_search_for_who_vouches_that_found_nobody_is_not_made_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes over many sizes; the log grows once a minute."""
    clock, searches = [1000.0], 0

    async def long_search() -> None:
        nonlocal searches
        searches, clock[0] = searches + 1, clock[0] + 30

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    async with served(tmp_path, AlarmBoard("gateway"), logged=True) as (service, store):
        settings = Settings.load(
            None, archive=(tmp_path / "archive").as_uri(), archive_name=golden.KEYRING.archive,
            keyring=tmp_path / "keys" / "keyring.json", broker="kafka://127.0.0.1:1",
        )  # fmt: skip
        store.failures.clear()
        service.vouched = long_search
        await service.refresh()
        for seconds, wanted in ((60, 1), (60, 1), (600, 2), (60, 2)):
            clock[0] += seconds
            await log_all(settings)
            await service.refresh()
            assert searches == wanted


async def test_the_archive_is_followed_while_persons_are_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep reads as many objects as there are segments: that takes hours one day."""
    sweeping = asyncio.Event()

    async def endless(*_: Any) -> None:
        sweeping.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "sweep", endless)
    async with served(tmp_path, AlarmBoard("gateway")) as (service, store):

        async def followed() -> bool:
            return len(store.open) >= before + 3

        async with keeping(service):
            await sweeping.wait()
            before = len(store.open)
            await eventually(followed)


async def test_a_write_of_the_index_that_failed_is_made_again_and_is_no_fork(
    tmp_path: Path,
) -> None:
    """A disk that was full for a moment."""
    board = AlarmBoard("gateway")
    async with served(tmp_path, board, logged=True) as (service, store):
        store.failures.clear()
        write, full = service.index.write, asyncio.Event()

        def refused(pairs: Iterable[Pair]) -> None:
            rows = list(pairs)
            if not full.is_set() and any(key == LOG_SIZE for key, _ in rows):
                full.set()
                raise OSError(errno.ENOSPC, "no space left")
            write(rows)

        async def well() -> bool:
            return full.is_set() and service.caught_up and board.open() == []

        service.index.write = refused  # type: ignore[method-assign]
        async with keeping(service):
            await eventually(well)
        assert service.head is not None
        assert service.index.log_size() == service.head.size > 0


async def test_what_does_not_fit_in_a_sweep_is_no_alarm_of_the_log(tmp_path: Path) -> None:
    board = AlarmBoard("gateway")
    async with served(tmp_path, board, logged=True) as (service, store):
        store.failures.clear()
        await service.refresh()
        await put(
            store, Register.DISPOSALS, redaction(0).said(),
            archive=service.archive.keyring.archive,
            signer=LineSigner(golden.KEYRING.segment_key or b""),
        )  # fmt: skip
        alarmed = set[str]()

        async def said() -> bool:
            alarmed.update(str(alarm["key"]) for alarm in board.open())
            return "fork:sweep" in alarmed

        async with keeping(service):
            await eventually(said)
    assert "fork:log" not in alarmed


async def test_rows_of_what_was_disposed_of_go_at_once(tmp_path: Path) -> None:
    """Not with the next hourly sweep: till then a dry run would count what is gone."""
    board = AlarmBoard("gateway")
    async with served(tmp_path, board, logged=True) as (service, store):
        store.failures.clear()
        subjects = FileSubjectStore(tmp_path / "archive-subjects")
        disposer, keyring = FileDisposer(tmp_path / "archive"), tmp_path / "keys" / "keyring.json"
        scene = Scene(store, subjects, disposer, keyring, lambda _: None)
        swept = asyncio.Event()
        forget = service.index.write

        def written(pairs: Iterable[Pair]) -> None:
            rows = list(pairs)
            forget(rows)
            if any(key == FORGOTTEN for key, _ in rows):
                swept.set()

        await service.refresh()
        service.index.write = written  # type: ignore[method-assign]
        async with keeping(service):
            await scene.at(LATER_MS)
            await scene.approved()
            await scene.run()
            await asyncio.wait_for(swept.wait(), 30)
        assert [each.regulatory_tag for each in service.disposed] == [TAG]
        assert list(service.index.all_tagged()) == []

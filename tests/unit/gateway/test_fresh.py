"""The index is kept up to date for ever: what fails is said, and tried again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from audit_stream.bundle.messages import Collector
from audit_stream.errors import StoreTransient
from audit_stream.gateway import followed as module
from audit_stream.gateway.service import Service
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.lookup import Lookup
from audit_stream.index.tail import Archive, Tail
from audit_stream.keys.file import load_cover, load_keyring
from audit_stream.notary.log import ArchiveLog
from audit_stream.stores.file import FileStore
from audit_stream.stores.subjects import FileSubjectStore
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support.eventually import eventually
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

"""The access journal: durable before it returns, whole lines, and no answer without it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from audit_stream.errors import StateError
from audit_stream.gateway.journal import Journal


def lines(folder: Path) -> list[int]:
    found = [line for path in sorted(folder.iterdir()) for line in path.read_text().splitlines()]
    return [json.loads(line)["n"] for line in found]


def names(folder: Path) -> list[str]:
    return [path.name for path in sorted(folder.iterdir())]


async def test_what_was_recorded_is_on_disk(tmp_path: Path) -> None:
    async with Journal(tmp_path / "j", lambda: "20261126") as journal:
        await journal.record({"n": 0})
        assert lines(tmp_path / "j") == [0]
        await asyncio.gather(*(journal.record({"n": number}) for number in range(1, 500)))
        assert lines(tmp_path / "j") == list(range(500))
    (path,) = (tmp_path / "j").iterdir()
    assert path.name == "access-20261126.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600


async def test_many_share_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    really = os.fsync

    def count(handle: int) -> None:
        synced.append(handle)
        really(handle)

    monkeypatch.setattr(os, "fsync", count)
    async with Journal(tmp_path, lambda: "d") as journal:
        await asyncio.gather(*(journal.record({"n": number}) for number in range(300)))
    assert len(synced) < 10


async def test_a_journal_that_cannot_be_written_lets_nothing_through(tmp_path: Path) -> None:
    async with Journal(tmp_path, lambda: "no/such/folder") as journal:
        for _ in range(2):
            with pytest.raises(StateError, match="cannot be written"):
                await journal.record({"n": 1})


async def test_a_new_day_has_a_file_of_its_own(tmp_path: Path) -> None:
    days = iter(["1", "2"])
    async with Journal(tmp_path, lambda: next(days)) as journal:
        await journal.record({"n": 1})
        await journal.record({"n": 2})
    assert names(tmp_path) == ["access-1.jsonl", "access-2.jsonl"]

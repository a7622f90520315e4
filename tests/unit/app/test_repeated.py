"""Work beside a process's own: whatever it raises is an alarm, and it is tried again."""

from __future__ import annotations

import asyncio

import pytest

from audit_stream.app.repeated import repeated
from audit_stream.errors import StoreTransient
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support.eventually import eventually

PERSONAL = "+4915112345678"


async def test_no_failure_ends_it_and_each_is_an_alarm(caplog: pytest.LogCaptureFixture) -> None:
    board = AlarmBoard("gateway")
    said: list[list[str]] = []  # what was open at each turn
    failures = [StoreTransient("the store is away"), ValueError(PERSONAL), OSError(5, "broken")]

    async def work() -> None:
        said.append([str(alarm["summary"]) for alarm in board.open()])
        if len(said) <= 2 * len(failures) and len(said) % 2:
            raise failures[len(said) // 2]

    async def enough() -> bool:
        return len(said) > 7

    task = asyncio.create_task(repeated(work, 0.001, board, "journal:seal", "sealing"))
    await eventually(enough)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert said[0] == said[2] == said[4] == said[6] == []
    assert said[1] == ["sealing failed: the store is away"]
    assert said[3][0].startswith("sealing failed: ValueError at test_repeated.py:")
    assert said[5][0].startswith("sealing failed: OSError at test_repeated.py:")
    assert PERSONAL not in caplog.text

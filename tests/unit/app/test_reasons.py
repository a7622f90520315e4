"""The reasons of quarantine are counted for ever, whatever lies in the topic."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from audit_stream.app import reasons
from audit_stream.app.reasons import ReasonCounter
from audit_stream.errors import BrokerError
from audit_stream.gateway.pages.quarantine import Reason
from audit_stream.kafka.quarantine import Quarantined
from tests.support.eventually import eventually

PERSONAL = "+4915112345678"


def copy(offset: int, reason: str, source: str = "") -> Quarantined:
    return Quarantined(
        reason=reason, source=source or f"t/1/0/{offset}", timestamp=1, origin=None, key=b"k",
        value=b"v",
    )  # fmt: skip


async def test_whatever_fails_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lying = [copy(1, "status"), copy(2, "status"), copy(3, "invalid:id")]
    failures: list[Any] = [BrokerError("away"), ValueError(PERSONAL)]

    async def read(_: Any) -> AsyncIterator[Quarantined]:
        if failures:
            raise failures.pop(0)
        for each in lying:
            yield each

    monkeypatch.setattr(reasons, "read_quarantine", read)
    connection: Any = None  # nothing asks it
    retried = {("t/0/2", 1)}
    counter = ReasonCounter(connection, lambda *event: event in retried, lambda: "now")

    async def counted() -> bool:
        return counter.counted is not None

    with caplog.at_level(logging.WARNING):
        task = asyncio.create_task(counter.keep_counted(0.01))
        await eventually(counted)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert counter.counted is not None
    assert counter.counted.found == [
        Reason(topic="t", reason="invalid:id", copies=1, left=1),
        Reason(topic="t", reason="status", copies=2, left=1),
    ]
    assert [r.getMessage().partition(" at ")[0].rpartition(": ")[2] for r in caplog.records] == [
        "away", "ValueError",
    ]  # fmt: skip
    assert PERSONAL not in caplog.text

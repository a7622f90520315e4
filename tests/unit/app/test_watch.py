"""What a worker says of itself goes on being true while the broker is away."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError

from audit_stream.app import watch as watching
from audit_stream.stream.process import Watchdog
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics
from tests.support.eventually import eventually


class AwayPipeline:
    """A pipeline whose broker does not answer."""

    def __init__(self) -> None:
        self.lanes = {("t", 0): object()}
        self.asked = 0

    async def lag(self) -> Any:
        self.asked += 1
        raise KafkaConnectionError("no broker")


async def no_broker() -> Any:
    raise KafkaConnectionError("no broker")


async def test_readiness_follows_though_the_lag_cannot_be_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "_READY_SECONDS", 0.001)
    monkeypatch.setattr(watching, "_LAG_SECONDS", 0.0)
    worker: Any = SimpleNamespace(ready={"assigned": False}, restore_remaining=0)
    pipeline, health = AwayPipeline(), Health("assigned")
    task = asyncio.create_task(
        watching.watch(
            worker,
            cast("Any", pipeline),
            Metrics(),
            health,
            Watchdog(60),
            AlarmBoard("w"),
            {},
            no_broker,
        )
    )
    try:
        await eventually(lambda: holds(pipeline.asked >= 2))
        assert not all(health.ready().values())
        worker.ready["assigned"] = True
        await eventually(lambda: holds(all(health.ready().values())))
        assert not task.done()
    finally:
        task.cancel()


async def holds(condition: bool) -> bool:
    return condition

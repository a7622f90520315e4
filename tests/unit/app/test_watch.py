"""What a worker says of itself goes on being true while the broker is away."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError

from audit_stream.app import watch as watching
from audit_stream.errors import TopicError
from audit_stream.stream.process import Watchdog
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics
from tests.support.eventually import eventually


class AwayPipeline:
    """A pipeline whose broker does not answer it."""

    def __init__(self) -> None:
        self.lanes = {("t", 0): object()}
        self.asked = 0

    async def lag(self) -> Any:
        self.asked += 1
        raise KafkaConnectionError("no broker")


class Topics:
    """Looked at over a connection of its own, which may be away, too."""

    def __init__(self, away: bool) -> None:
        self.away, self.asked = away, 0

    async def faults(self) -> dict[str, TopicError]:
        self.asked += 1
        if self.away:
            raise KafkaConnectionError("no broker")
        return {}


@pytest.mark.parametrize("away", [True, False])
async def test_readiness_follows_though_the_broker_cannot_be_looked_at(
    monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    monkeypatch.setattr(watching, "_READY_SECONDS", 0.001)
    monkeypatch.setattr(watching, "_BROKER_SECONDS", 0.0)
    sizes = SimpleNamespace(batches=SimpleNamespace(sizes=dict))
    worker: Any = SimpleNamespace(ready={"assigned": False}, restore_remaining=0, table=sizes)
    pipeline, topics, health = AwayPipeline(), Topics(away), Health("broker", "assigned")
    health.set_ready("broker", True)
    task = asyncio.create_task(
        watching.watch(
            worker, cast("Any", pipeline), Metrics(), health, Watchdog(60), AlarmBoard("w"), {},
            topics.faults,
        )
    )  # fmt: skip
    try:
        await eventually(lambda: holds(topics.asked >= 2))
        assert bool(pipeline.asked) is not away
        assert health.ready() == {"broker": False, "assigned": False}
        worker.ready["assigned"] = True
        await eventually(lambda: holds(health.ready()["assigned"]))
        assert not health.ready()["broker"]
        assert not task.done()
    finally:
        task.cancel()


async def holds(condition: bool) -> bool:
    return condition

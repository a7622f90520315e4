"""What a worker says of itself goes on being true while the broker is away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError

from audit_stream.app import watch as watching
from audit_stream.app.lag import Lag
from audit_stream.errors import TopicError
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics
from tests.support.eventually import eventually


class AwayPipeline:
    """A pipeline whose broker does not answer it."""

    def __init__(self) -> None:
        self.lanes = {("t", 0): object()}
        self.asked = 0

    def stopped(self) -> set[Any]:
        return set()

    async def lag(self) -> Any:
        self.asked += 1
        raise KafkaConnectionError("no broker")


class QuietPipeline:
    """Has no partition."""

    lanes: Mapping[Any, Any] = MappingProxyType({})

    def stopped(self) -> set[Any]:
        return set()

    async def lag(self) -> dict[Any, Any]:
        return {}


class Topics:
    """Looked at over a connection of its own, which may be away, too."""

    def __init__(self, away: bool) -> None:
        self.away, self.asked = away, 0
        self.retention_days = 7

    async def faults(self) -> dict[str, TopicError]:
        self.asked += 1
        if self.away:
            raise KafkaConnectionError("no broker")
        return {}

    async def retention(self) -> dict[str, float]:
        return {"t": self.retention_days * 86_400.0}


@pytest.mark.parametrize("away", [True, False])
async def test_readiness_follows_though_the_broker_cannot_be_looked_at(
    monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    monkeypatch.setattr(watching, "_READY_SECONDS", 0.001)
    monkeypatch.setattr(watching, "_BROKER_SECONDS", 0.0)
    sizes = SimpleNamespace(batches=SimpleNamespace(sizes=lambda: {0: 5}, cache_bytes=7))
    metrics = Metrics()
    worker: Any = SimpleNamespace(ready={"assigned": False}, restore_remaining=0, table=sizes)
    pipeline, topics, health = AwayPipeline(), Topics(away), Health("broker", "assigned")
    health.set_ready("broker", True)
    lag = Lag(cast("Any", pipeline), metrics, {}, no_time)
    task = asyncio.create_task(
        watching.watch(
            worker,
            cast("Any", pipeline),
            lag,
            metrics,
            health,
            AlarmBoard("w"),
            topics.faults,
            topics.retention,
        )
    )
    try:
        await eventually(lambda: holds(topics.asked >= 2))
        assert bool(pipeline.asked) is not away
        assert health.ready() == {"broker": False, "assigned": False}
        worker.ready["assigned"] = True
        await eventually(lambda: holds(health.ready()["assigned"]))
        assert not health.ready()["broker"]
        assert not task.done()
        assert metrics.registry.get_sample_value("audit_stream_restore_running_seconds") == 0
        assert metrics.registry.get_sample_value("audit_stream_restore_seconds_count") == 1
        labels = {"partition": "0"}
        assert metrics.registry.get_sample_value("audit_stream_table_keys", labels) == 5
        assert metrics.registry.get_sample_value("audit_stream_block_cache_bytes") == 7
    finally:
        task.cancel()


async def test_a_retention_that_was_raised_to_buy_time_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("_READY_SECONDS", "_BROKER_SECONDS", "_RETENTION_SECONDS"):
        monkeypatch.setattr(watching, name, 0.001)
    sizes = SimpleNamespace(batches=SimpleNamespace(sizes=dict, cache_bytes=7))
    worker: Any = SimpleNamespace(ready={}, restore_remaining=0, table=sizes)
    pipeline, metrics, topics = QuietPipeline(), Metrics(), Topics(away=False)
    lag = Lag(cast("Any", pipeline), metrics, {"t": 1.0}, no_time)
    task = asyncio.create_task(
        watching.watch(
            worker, cast("Any", pipeline), lag, metrics, Health("broker"), AlarmBoard("w"),
            topics.faults, topics.retention,
        )
    )  # fmt: skip

    async def days() -> float | None:
        labels = {"topic": "t"}
        found = metrics.registry.get_sample_value("audit_stream_retention_seconds", labels)
        return found and found / 86_400

    async def seven() -> bool:
        return await days() == 7

    async def thirty() -> bool:
        return await days() == 30

    try:
        await eventually(seven)
        topics.retention_days = 30
        await eventually(thirty)
    finally:
        task.cancel()


async def no_time(topic: str, partition: int, offset: int) -> int | None:
    return None


def test_a_restore_is_timed_while_it_runs_and_once_it_is_done() -> None:
    metrics = Metrics()
    restore = watching.Restore(metrics)
    seen = []
    for running, now in [(True, 10), (True, 70), (False, 75), (False, 99), (True, 200)]:
        restore.look(running, now)
        seen.append(metrics.registry.get_sample_value("audit_stream_restore_running_seconds"))
    assert seen == [0, 60, 0, 0, 0]
    assert metrics.registry.get_sample_value("audit_stream_restore_seconds_sum") == 65
    assert metrics.registry.get_sample_value("audit_stream_restore_seconds_count") == 1


async def holds(condition: bool) -> bool:
    return condition

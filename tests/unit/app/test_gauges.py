"""Gauges that no batch sets: what a scrape sees is the state of that moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

from audit_stream.app import gauges
from audit_stream.settings import Settings
from audit_stream.stream.process import Watchdog
from audit_stream.stream.worker import LOOP
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics
from tests.support.eventually import eventually


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"audit_stream_{name}", labels)


def test_readiness_alarms_and_heartbeat_are_asked_at_the_scrape() -> None:
    metrics, health, alarms = Metrics(), Health("broker"), AlarmBoard("w")
    watchdog = Watchdog(60)
    gauges.follow(metrics, health, alarms, watchdog)
    assert value(metrics, "ready", condition="broker") == 0
    assert value(metrics, "open_alarms") == 0
    health.set_ready("broker", True)
    alarms.raise_alarm("a:b", "broken")
    watchdog.beat(LOOP)
    age = value(metrics, "loop_heartbeat_age_seconds")
    assert age is not None
    assert (value(metrics, "loop_heartbeat_age_seconds") or 0) > age  # without another beat
    assert value(metrics, "ready", condition="broker") == 1
    assert value(metrics, "open_alarms") == 1


def test_topics_start_at_zero_with_what_does_not_change() -> None:
    metrics = Metrics()
    gauges.describe(metrics, Settings.load(None, partitions=3), {"t": 5.0, "for_ever": None})
    assert value(metrics, "topic_partitions", topic="for_ever") == 3
    assert value(metrics, "retention_seconds", topic="t") == 5
    assert value(metrics, "retention_seconds", topic="for_ever") is None
    assert value(metrics, "lost_offsets_total", topic="t") == 0
    assert value(metrics, "forks_total", topic="for_ever") == 0
    assert value(metrics, "archive_delay_seconds_count", topic="t") == 0
    assert value(metrics, "records_total", topic="t", disposition="quarantined") == 0


def test_only_folders_have_disks(tmp_path: Path) -> None:
    local = Settings.load(None, archive=(tmp_path / "a").as_uri(), state_dir=tmp_path / "s")
    assert set(gauges.folders_of(local)) == {"state", "archive", "subjects"}
    cloud = Settings.load(None, archive="azure://account0/container", state_dir=tmp_path / "s")
    assert gauges.folders_of(cloud) == {"state": tmp_path / "s"}


async def test_disks_are_measured_and_one_that_cannot_be_costs_no_other(tmp_path: Path) -> None:
    metrics = Metrics()
    folders = {"archive": tmp_path / "gone", "state": tmp_path}
    task = asyncio.create_task(gauges.watch_disks(metrics, folders))

    async def measured() -> bool:
        return value(metrics, "disk_free_bytes", folder="state") is not None

    try:
        await eventually(measured)
        size = value(metrics, "disk_size_bytes", folder="state")
        assert size is not None
        assert 0 < (value(metrics, "disk_free_bytes", folder="state") or 0) < size
        assert value(metrics, "disk_free_bytes", folder="archive") is None
    finally:
        task.cancel()

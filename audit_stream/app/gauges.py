"""Gauges that no batch sets: known at the start, asked at a scrape, or looked at now and then."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from audit_stream.app.standing import tell_standing
from audit_stream.evidence import ledger
from audit_stream.settings import Settings
from audit_stream.stream.process import Watchdog
from audit_stream.stream.worker import LOOP
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics

log = logging.getLogger(__name__)
_DISK_SECONDS = 15.0


def follow(metrics: Metrics, health: Health, alarms: AlarmBoard, watchdog: Watchdog) -> None:
    """What the web server's thread asks at each scrape: true even while the event loop stands."""
    metrics.loop_heartbeat_age_seconds.set_function(partial(watchdog.age, LOOP))
    tell_standing(metrics, health, alarms)


def describe(metrics: Metrics, settings: Settings, retention: Mapping[str, float | None]) -> None:
    """What does not change while a worker runs; `retention` in seconds, by archived topic."""
    metrics.start_topics(retention, ledger.MEANING.values())
    for topic, seconds in retention.items():
        metrics.topic_partitions.labels(topic).set(settings.partitions)
        if seconds is not None:
            metrics.retention_seconds.labels(topic).set(seconds)


def folders_of(settings: Settings) -> dict[str, Path]:
    """The folders of this worker whose disks can fill."""
    places = {
        "state": settings.state_dir, "archive": settings.archive_place,
        "subjects": settings.subjects_place,
    }  # fmt: skip
    return {name: place for name, place in places.items() if isinstance(place, Path)}


async def watch_disks(metrics: Metrics, folders: Mapping[str, Path]) -> None:
    """Room on the folders' file systems. A task of its own: a network file system may hang."""
    while True:
        for name, folder in folders.items():
            try:
                usage = await asyncio.to_thread(shutil.disk_usage, folder)
            except OSError as error:
                log.warning("the disk of %s could not be looked at: %s", folder, error.strerror)
                continue
            metrics.disk_free_bytes.labels(name).set(usage.free)
            metrics.disk_size_bytes.labels(name).set(usage.total)
        await asyncio.sleep(_DISK_SECONDS)

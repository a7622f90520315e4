"""What a worker says of itself, off the data path: readiness, lag, sizes; and single records."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from audit_stream.errors import TopicError
from audit_stream.kafka.connect import KafkaConnection, topic_configs
from audit_stream.settings import Settings
from audit_stream.stream.pipeline import Pipeline
from audit_stream.stream.process import Watchdog
from audit_stream.stream.worker import LOOP, Worker
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics

log = logging.getLogger(__name__)
_DAY_SECONDS = 86_400
_BROKER_SECONDS = 5.0
_BROKER_LIMIT_SECONDS = 10.0
_READY_SECONDS = 0.5


class Inspector:
    """Reads single records' timestamps, beside Faust's consumer."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection

    async def timestamp_at(self, topic: str, partition: int, offset: int) -> int | None:
        """The Kafka timestamp (ms) at an offset, or None when the log no longer reaches there."""
        tp = TopicPartition(topic, partition)
        consumer = AIOKafkaConsumer(
            **self._connection.client_options(), enable_auto_commit=False,
            auto_offset_reset="none",
        )  # fmt: skip
        await consumer.start()
        try:
            consumer.assign([tp])
            if (await consumer.beginning_offsets([tp]))[tp] > offset:
                return None
            consumer.seek(tp, offset)
            batch = await consumer.getmany(tp, timeout_ms=5000, max_records=1)
            records = batch.get(tp, [])
            return records[0].timestamp if records and records[0].offset == offset else None
        finally:
            await consumer.stop()


async def retention_seconds(
    settings: Settings, connection: KafkaConnection, topics: list[str]
) -> Mapping[str, float]:
    """Retention of each archived topic: what the lag is measured against."""
    if settings.raw_retention_days is not None:
        return dict.fromkeys(topics, settings.raw_retention_days * _DAY_SECONDS)
    configs = await topic_configs(connection, topics)
    found = {topic: float(config["retention.ms"]) / 1000 for topic, config in configs.items()}
    return {topic: seconds for topic, seconds in found.items() if seconds >= 0}


#: What is wrong with raw topics by now.
TopicFaults = Callable[[], Awaitable[Mapping[str, TopicError]]]


async def watch(
    worker: Worker, pipeline: Pipeline, metrics: Metrics, health: Health, watchdog: Watchdog,
    alarms: AlarmBoard, retention: Mapping[str, float], topic_faults: TopicFaults,
) -> None:  # fmt: skip
    """Readiness, sizes, lag and the raw topics themselves, off the data path."""
    next_look = 0.0
    while True:
        for name, value in worker.ready.items():
            health.set_ready(name, value)
        metrics.loop_heartbeat_age_seconds.set(watchdog.age(LOOP))
        metrics.open_alarms.set(len(alarms.open()))
        metrics.restore_remaining_records.set(worker.restore_remaining)
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + _BROKER_SECONDS
            for partition, keys in worker.table.batches.sizes().items():
                metrics.table_keys.labels(str(partition)).set(keys)
            reached = await _look_at_broker(pipeline, metrics, alarms, retention, topic_faults)
            health.set_ready("broker", reached)
        await asyncio.sleep(_READY_SECONDS)


async def _look_at_broker(
    pipeline: Pipeline, metrics: Metrics, alarms: AlarmBoard, retention: Mapping[str, float],
    topic_faults: TopicFaults,
) -> bool:  # fmt: skip
    """Check topics and lag; whether the broker answered in time."""
    try:
        async with asyncio.timeout(_BROKER_LIMIT_SECONDS):
            # First, over a connection of its own: with the broker away the consumer's would hang.
            _stop_faulty(pipeline, alarms, await topic_faults())
            await _measure_lag(pipeline, metrics, retention)
    except Exception as error:  # whatever it is, it must not freeze readiness
        log.warning("the broker could not be looked at: %s: %s", type(error).__name__, error)
        return False
    return True


def _stop_faulty(pipeline: Pipeline, alarms: AlarmBoard, faults: Mapping[str, TopicError]) -> None:
    for topic, error in faults.items():
        alarms.raise_alarm(f"raw-topic:{topic}", str(error))
        for place in [place for place in pipeline.lanes if place[0] == topic]:
            pipeline.stop(*place, str(error))


async def _measure_lag(
    pipeline: Pipeline, metrics: Metrics, retention: Mapping[str, float]
) -> None:
    for (topic, partition), (behind, oldest_ms) in (await pipeline.lag()).items():
        if behind < 0:
            pipeline.stop(topic, partition, f"the broker has {-behind} offsets less of it than are "
                          "archived: the topic was recreated or truncated")  # fmt: skip
            continue
        metrics.unarchived_offsets.labels(topic, str(partition)).set(behind)
        if topic in retention:
            waiting = time.time() - oldest_ms / 1000 if behind and oldest_ms else 0.0
            headroom = retention[topic] - max(0.0, waiting)
            metrics.retention_headroom_seconds.labels(topic, str(partition)).set(headroom)

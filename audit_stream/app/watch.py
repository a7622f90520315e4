"""What a worker says of itself, off the data path: readiness, lag, sizes; and single records."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from audit_stream.app.lag import Lag
from audit_stream.errors import TopicError
from audit_stream.kafka.ask import topic_configs
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.header_names import read_any_header_name
from audit_stream.settings import Settings
from audit_stream.stream.pipeline import Pipeline
from audit_stream.stream.worker import Worker
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.discreet import said
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics

log = logging.getLogger(__name__)
_DAY_SECONDS = 86_400
_BROKER_SECONDS = 5.0
_BROKER_LIMIT_SECONDS = 10.0
_READY_SECONDS = 0.5
_RETENTION_SECONDS = 60.0


class Inspector:
    """Reads single records' timestamps, beside Faust's consumer."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection

    async def timestamp_at(self, topic: str, partition: int, offset: int) -> int | None:
        """The Kafka timestamp (ms) at an offset, or None when the log no longer reaches there."""
        tp = TopicPartition(topic, partition)
        read_any_header_name()
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
#: How long (s) raw topics keep their records by now; one that keeps them for ever is left out.
AskRetention = Callable[[], Awaitable[Mapping[str, float]]]


async def watch(
    worker: Worker, pipeline: Pipeline, lag: Lag, metrics: Metrics, health: Health,
    alarms: AlarmBoard, topic_faults: TopicFaults, ask_retention: AskRetention,
) -> None:  # fmt: skip
    """Readiness, restore, sizes, lag and the raw topics themselves, off the data path."""
    next_look, next_asking = 0.0, time.monotonic() + _RETENTION_SECONDS
    restore = Restore(metrics)
    while True:
        for name, value in worker.ready.items():
            health.set_ready(name, value)
        restore.look(not all(worker.ready.values()), time.monotonic())
        metrics.restore_remaining_records.set(worker.restore_remaining)
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + _BROKER_SECONDS
            _measure_table(worker, metrics)
            reached = await _look_at_broker(pipeline, lag, alarms, topic_faults)
            health.set_ready("broker", reached)
            if reached and time.monotonic() >= next_asking:
                next_asking = time.monotonic() + _RETENTION_SECONDS
                await _look_at_retention(lag, ask_retention)
        await asyncio.sleep(_READY_SECONDS)


class Restore:
    """Times assignment and restore, from the first look at which a worker is not ready."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._since: float | None = None

    def look(self, running: bool, now: float) -> None:
        """Say whether it is running; `now` is monotonic seconds."""
        if running and self._since is None:
            self._since = now
        elapsed = 0.0 if self._since is None else now - self._since
        if not running and self._since is not None:
            self._metrics.restore_seconds.observe(elapsed)
            self._since = None
        self._metrics.restore_running_seconds.set(elapsed if running else 0.0)


def _measure_table(worker: Worker, metrics: Metrics) -> None:
    metrics.block_cache_bytes.set(worker.table.batches.cache_bytes)
    metrics.table_keys.clear()
    for partition, keys in worker.table.batches.sizes().items():
        metrics.table_keys.labels(str(partition)).set(keys)


async def _look_at_broker(
    pipeline: Pipeline, lag: Lag, alarms: AlarmBoard, topic_faults: TopicFaults
) -> bool:
    """Check topics and lag; whether the broker answered in time."""
    try:
        async with asyncio.timeout(_BROKER_LIMIT_SECONDS):
            # First, over a connection of its own: with the broker away the consumer's would hang.
            _stop_faulty(pipeline, alarms, await topic_faults())
            await lag.measure()
    except Exception as error:  # whatever it is, it must not freeze readiness
        log.warning("the broker could not be looked at: %s", said(error))
        return False
    return True


def _stop_faulty(pipeline: Pipeline, alarms: AlarmBoard, faults: Mapping[str, TopicError]) -> None:
    for topic, error in faults.items():
        alarms.raise_alarm(f"raw-topic:{topic}", str(error))
        for place in [place for place in pipeline.lanes if place[0] == topic]:
            pipeline.stop(*place, str(error))


async def _look_at_retention(lag: Lag, ask_retention: AskRetention) -> None:
    """An operator who raised it to buy time must see that it did."""
    try:
        async with asyncio.timeout(_BROKER_LIMIT_SECONDS):
            lag.use_retention(await ask_retention())
    except Exception as error:
        log.warning("the topics' retention could not be looked at: %s", said(error))

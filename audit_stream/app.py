"""The composition root: settings -> a worker with its ports, and the checks before it may start."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from aiokafka import AIOKafkaConsumer, TopicPartition

from audit_stream import __version__
from audit_stream.archive.chain import Chain, Found
from audit_stream.archive.streams import found_stream, newest_stream
from audit_stream.errors import ConfigError, FormatError, KeyringError, StateError, TopicError
from audit_stream.evidence import layout
from audit_stream.evidence.rawmac import raw_key
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.flatten.status_map import StatusMap
from audit_stream.kafka import quarantine as quarantine_topic
from audit_stream.kafka.connect import (
    KafkaConnection,
    describe_topics,
    topic_configs,
    topic_ends,
)
from audit_stream.keys.file import LoadedKeyring, load_keyring
from audit_stream.ports import Assurance, WormStore
from audit_stream.seal.builder import Limits, Origin
from audit_stream.settings import Settings
from audit_stream.stores.breaker import BreakerPolicy, BreakerState, CircuitBreaker
from audit_stream.stores.clock import SystemClock
from audit_stream.stores.open import open_store, open_subjects
from audit_stream.stores.retry import ResilientStore
from audit_stream.stream.changelog import ChangelogWriter
from audit_stream.stream.context import Brake, Context, StepHook, no_hook
from audit_stream.stream.pipeline import Pipeline
from audit_stream.stream.process import ShutdownTimer, Watchdog, die
from audit_stream.stream.quarantine import QuarantineWriter
from audit_stream.stream.rekey import Rekeyer
from audit_stream.stream.worker import LOOP, TABLE, Worker, WorkerConfig
from audit_stream.telemetry.alerts import AlarmBoard, Webhook
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics
from audit_stream.telemetry.web import WebServer

log = logging.getLogger(__name__)
REKEYED = "-rekeyed"
_DAY_SECONDS = 86_400
_SWITCH_SECONDS = 0.0005
_GC_THRESHOLDS = (100_000, 20, 50)
_LAG_SECONDS = 5.0
_READY_SECONDS = 0.5


def archived_topics(settings: Settings) -> dict[str, str]:
    """Raw topic -> the topic that is archived for it: itself, or its rekeyed twin."""
    return {t: t + REKEYED if t in settings.rekey_topics else t for t in settings.topics}


def changelog_topic(settings: Settings) -> str:
    """Name of the table's changelog."""
    return f"{settings.app_id}-{TABLE}-changelog"


def lock_state_dir(state_dir: Path) -> TextIO:
    """Lock the state directory for this process; `StateError` when another one uses it."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = (state_dir / "lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise StateError(
            f"the state directory {state_dir} is in use by another worker",
            hint="give each worker its own AUDIT_STATE_DIR",
        ) from None
    return handle


async def check_topics(connection: KafkaConnection, settings: Settings) -> Mapping[str, str | None]:
    """Refuse missing topics and differing partition counts; topic ids of the archived topics."""
    archived = archived_topics(settings)
    ours = [changelog_topic(settings), quarantine_topic.TOPIC]
    found = await describe_topics(connection, [*archived, *archived.values(), *ours])
    if missing := sorted({*archived, *archived.values(), *ours} - set(found)):
        raise TopicError(
            f"no such topic: {', '.join(missing)}", hint="run: audit-stream topics apply"
        )
    for topic in (*archived.values(), changelog_topic(settings)):
        if found[topic].partitions != settings.partitions:
            raise TopicError(
                f"{topic} has {found[topic].partitions} partitions, AUDIT_PARTITIONS says "
                f"{settings.partitions}",
                hint="set AUDIT_PARTITIONS to what the raw topics have; a changed count needs a "
                "new generation of the stream",
            )
    return {topic: found[topic].topic_id for topic in archived.values()}


async def check_assurance(store: WormStore, settings: Settings) -> Assurance:
    """The store's level; refused below what is allowed."""
    posture = await store.posture()
    if posture.assurance < settings.allow_assurance:
        raise ConfigError(
            f"the archive {store.url} is {posture.assurance.label}, AUDIT_ALLOW_ASSURANCE asks for "
            f"{settings.allow_assurance.label}",
            hint=f"use a locked store, or accept it with AUDIT_ALLOW_ASSURANCE="
            f"{posture.assurance.label}",
        )
    return posture.assurance


async def open_streams(
    store: WormStore, ring: LoadedKeyring, connection: KafkaConnection, settings: Settings,
    topic_ids: Mapping[str, str | None],
) -> dict[str, StreamObject]:  # fmt: skip
    """The stream object of each archived topic, founded where there is none."""
    trusted, streams = TrustedKeys(ring.signer.public), {}
    for topic, topic_id in topic_ids.items():
        try:
            stream = await newest_stream(store, trusted, topic)
            if stream is None:
                ends = await topic_ends(connection, [topic])
                genesis = [ends[topic, p][0] for p in range(settings.partitions)]
                stream = await found_stream(
                    store, ring.signer, trusted, archive=settings.archive_name, topic=topic,
                    genesis=genesis, topic_id=topic_id,
                )  # fmt: skip
        except FormatError as error:
            raise KeyringError(
                f"the archive's streams were not founded under this keyring: {error.message}",
                hint="use the keyring the archive was made with (AUDIT_KEYRING)",
            ) from error
        _check_stream(stream, settings, topic_id)
        streams[topic] = stream
    return streams


def _check_stream(stream: StreamObject, settings: Settings, topic_id: str | None) -> None:
    if stream.archive != settings.archive_name:
        raise ConfigError(
            f"the archive is named {stream.archive}, AUDIT_ARCHIVE_NAME says "
            f"{settings.archive_name}",
            hint="set AUDIT_ARCHIVE_NAME to the archive's name",
        )
    if stream.partitions != settings.partitions:
        raise TopicError(
            f"the stream of {stream.topic} has {stream.partitions} partitions, the topic has "
            f"{settings.partitions}",
            hint="a changed count needs a new generation of the stream, by an operator's word",
        )
    if stream.topic_id and topic_id and stream.topic_id != topic_id:
        raise TopicError(
            f"{stream.topic} was recreated: its topic id is not the stream's",
            hint="start a new generation once you know why (docs/runbooks/raw-topic.md)",
        )


async def check_epoch(
    store: WormStore, ring: LoadedKeyring, streams: Mapping[str, StreamObject]
) -> None:
    """Refuse a keyring older than the archive's newest segments: it would revive the erased."""
    trusted = TrustedKeys(ring.signer.public)
    for stream in streams.values():
        for partition in range(stream.partitions):
            last = await Chain(store, trusted, stream, partition).last()
            if isinstance(last, Found) and last.segment.header.key_epoch > ring.keyring.epoch:
                raise KeyringError(
                    f"the keyring has the epoch {ring.keyring.epoch}, the archive is at "
                    f"{last.segment.header.key_epoch}",
                    hint="use the newest keyring: an older one could open what was erased",
                )


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


async def run_worker(
    settings: Settings, hook: StepHook = no_hook,
    adapt: Callable[[Context], Context] = lambda context: context,
) -> None:  # fmt: skip
    """Check, build, run until SIGTERM or SIGINT."""
    lock = lock_state_dir(settings.state_dir)
    # The consumer's thread needs the interpreter for moments at a time; with Python's 5 ms it would
    # wait for most of a batch to be judged before it could ask for the next one.
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(*_GC_THRESHOLDS)  # the batch path makes no cycles, only many objects
    metrics = Metrics()
    alarms = AlarmBoard(settings.static_member or socket.gethostname())
    if settings.alert_webhook is not None:
        alarms.add_teller(Webhook(settings.alert_webhook.get_secret_value()))
    health = Health("assigned", "restored", "breaker_closed")
    web = WebServer(settings.web_host, settings.web_port, metrics.registry, health, alarms)
    web.start()
    watchdog = Watchdog(settings.stall_seconds)
    health.watch("event_loop", lambda: watchdog.age(LOOP) < settings.stall_seconds)
    timer = ShutdownTimer(settings.shutdown_seconds)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, timer, stop)
    try:
        await _run(settings, metrics, alarms, health, watchdog, stop, hook, adapt)
    finally:
        timer.disarm()
        watchdog.stop()
        web.stop()
        lock.close()


def _stop(timer: ShutdownTimer, stop: asyncio.Event) -> None:
    timer.arm()
    stop.set()


async def _run(
    settings: Settings, metrics: Metrics, alarms: AlarmBoard, health: Health, watchdog: Watchdog,
    stop: asyncio.Event, hook: StepHook, adapt: Callable[[Context], Context],
) -> None:  # fmt: skip
    connection = KafkaConnection.from_settings(settings)
    ring = load_keyring(settings.keyring)
    if ring.keyring.archive != settings.archive_name:
        raise KeyringError(
            f"the keyring is of the archive {ring.keyring.archive}, AUDIT_ARCHIVE_NAME says "
            f"{settings.archive_name}",
            hint="use the archive's own keyring (AUDIT_KEYRING)",
        )
    topic_ids = await check_topics(connection, settings)
    breaker, store = _guarded_store(settings, alarms, metrics, health)
    assurance = await check_assurance(store, settings)
    streams = await open_streams(store, ring, connection, settings, topic_ids)
    await check_epoch(store, ring, streams)
    status_map = StatusMap.parse(settings.status_map_path.read_bytes())
    await store.put_if_absent(layout.map_name(status_map.hash), status_map.canonical_bytes, {})
    context = adapt(_context(settings, ring, store, assurance, status_map, metrics, alarms, hook))
    options = connection.client_options()
    changelog = ChangelogWriter(settings.app_id, changelog_topic(settings), options)
    quarantine = QuarantineWriter(options)
    twins = {t: a for t, a in archived_topics(settings).items() if t != a}
    rekeyer = Rekeyer(twins, settings.partitions, options, metrics)
    pipeline = Pipeline(context, streams, changelog, quarantine, Inspector(connection).timestamp_at)
    pipeline.paused = lambda: not breaker.is_closed
    worker = Worker(
        _worker_config(settings, streams, twins, connection), context, pipeline, changelog,
        rekeyer, watchdog,
    )  # fmt: skip
    await quarantine.start()
    await rekeyer.start()
    watchdog.beat(LOOP)
    watchdog.start()
    retention = await _retention_seconds(settings, connection, list(streams))
    watching = asyncio.create_task(
        _watch(worker, pipeline, metrics, health, watchdog, alarms, retention)
    )
    try:
        await worker.run(stop)
    finally:
        watching.cancel()
        await rekeyer.stop()
        await quarantine.stop()
        await store.close()
        await context.subjects.close()


def _guarded_store(
    settings: Settings, alarms: AlarmBoard, metrics: Metrics, health: Health
) -> tuple[CircuitBreaker, ResilientStore]:
    clock = SystemClock()
    policy = BreakerPolicy(
        max_failures=settings.breaker_attempts, first_delay=settings.breaker_probe_seconds
    )
    breaker = CircuitBreaker("archive", clock=clock, alerts=alarms, policy=policy)

    def tell(_old: BreakerState, new: BreakerState, _reason: str) -> None:
        closed = new is BreakerState.CLOSED
        metrics.breaker_open.labels("archive").set(0 if closed else 1)
        health.set_ready("breaker_closed", closed)

    breaker.add_listener(tell)
    health.set_ready("breaker_closed", True)
    metrics.breaker_open.labels("archive").set(0)
    return breaker, ResilientStore(open_store(settings.archive), breaker, clock=clock)


def _context(
    settings: Settings, ring: LoadedKeyring, store: WormStore, assurance: Assurance,
    status_map: StatusMap, metrics: Metrics, alarms: AlarmBoard, hook: StepHook,
) -> Context:  # fmt: skip
    archived = archived_topics(settings)
    origin = Origin(
        archive=settings.archive_name, assurance=assurance.label,
        writer=f"audit-stream/{__version__}", status_map=status_map.hash,
        key_epoch=ring.keyring.epoch, raw_key=raw_key(ring.keyring.index_key),
    )  # fmt: skip
    return Context(
        store=store, subjects=open_subjects(settings.subjects), signer=ring.signer,
        trusted=TrustedKeys(ring.signer.public), keyring=ring.keyring, cover=ring.cover,
        status_map=status_map, origin=origin,
        limits=Limits(
            records=settings.segment_max_records, size=settings.segment_max_bytes,
            age_ms=int(settings.segment_max_seconds * 1000),
        ),
        brake=Brake(settings.quarantine_brake_share, settings.quarantine_brake_run),
        memory_budget=settings.memory_budget_bytes,
        regulatory_tags={a: settings.regulatory_tag(t) for t, a in archived.items()},
        placeholders=settings.placeholder_ids, metrics=metrics, alerts=alarms,
        monotonic_ms=lambda: time.monotonic_ns() // 1_000_000,
        wall_ms=lambda: time.time_ns() // 1_000_000,
        nonce=secrets.token_bytes, die=die, hook=hook,
    )  # fmt: skip


def _worker_config(
    settings: Settings, streams: Mapping[str, StreamObject], twins: Mapping[str, str],
    connection: KafkaConnection,
) -> WorkerConfig:  # fmt: skip
    return WorkerConfig(
        app_id=settings.app_id, broker="kafka://" + ";".join(settings.bootstrap_servers),
        topics=list(streams), rekey=twins,
        partitions=settings.partitions, state_dir=settings.state_dir,
        session_timeout=settings.session_timeout_seconds, static_member=settings.static_member,
        client_options=connection.client_options(), credentials=_credentials(connection),
    )  # fmt: skip


def _credentials(connection: KafkaConnection) -> Any:
    """Faust's own form of the same security settings."""
    from faust.auth import SASLCredentials, SSLCredentials

    options = connection.client_options()
    context = options.get("ssl_context")
    if connection.uses_sasl:
        return SASLCredentials(
            username=options["sasl_plain_username"], password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"], ssl_context=context,
        )  # fmt: skip
    return SSLCredentials(context=context) if connection.uses_tls else None


async def _retention_seconds(
    settings: Settings, connection: KafkaConnection, topics: list[str]
) -> Mapping[str, float]:
    """Retention of each archived topic: what the lag is measured against."""
    if settings.raw_retention_days is not None:
        return dict.fromkeys(topics, settings.raw_retention_days * _DAY_SECONDS)
    configs = await topic_configs(connection, topics)
    found = {topic: float(config["retention.ms"]) / 1000 for topic, config in configs.items()}
    return {topic: seconds for topic, seconds in found.items() if seconds >= 0}


async def _watch(
    worker: Worker, pipeline: Pipeline, metrics: Metrics, health: Health, watchdog: Watchdog,
    alarms: AlarmBoard, retention: Mapping[str, float],
) -> None:  # fmt: skip
    """Readiness, lag and sizes, off the data path."""
    next_lag = 0.0
    while True:
        for name, value in worker.ready.items():
            health.set_ready(name, value)
        metrics.loop_heartbeat_age_seconds.set(watchdog.age(LOOP))
        metrics.open_alarms.set(len(alarms.open()))
        metrics.restore_remaining_records.set(worker.restore_remaining)
        if time.monotonic() >= next_lag and pipeline.lanes:
            next_lag = time.monotonic() + _LAG_SECONDS
            await _measure_lag(pipeline, metrics, retention)
            for partition, keys in worker.table.batches.sizes().items():
                metrics.table_keys.labels(str(partition)).set(keys)
        await asyncio.sleep(_READY_SECONDS)


async def _measure_lag(
    pipeline: Pipeline, metrics: Metrics, retention: Mapping[str, float]
) -> None:
    for (topic, partition), (behind, oldest_ms) in (await pipeline.lag()).items():
        metrics.unarchived_offsets.labels(topic, str(partition)).set(behind)
        if topic in retention:
            waiting = time.time() - oldest_ms / 1000 if behind and oldest_ms else 0.0
            headroom = retention[topic] - max(0.0, waiting)
            metrics.retention_headroom_seconds.labels(topic, str(partition)).set(headroom)

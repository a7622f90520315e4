"""Running a worker: check, build, run until it is asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from audit_stream.app import interpreter
from audit_stream.app.adoption import KeyringWatch
from audit_stream.app.alarms import alarm_board
from audit_stream.app.assurance import AssuranceWatch, check_assurance
from audit_stream.app.build import build_context, leaver, rekeyed, worker_config
from audit_stream.app.checks import (
    check_topics,
    load_archive_keyring,
    load_status_map,
    lock_state_dir,
    open_streams,
    topic_faults,
)
from audit_stream.app.covers import cover_wrapper
from audit_stream.app.ends import EndNote
from audit_stream.app.gauges import describe, folders_of, follow, watch_disks
from audit_stream.app.guarded import READY, guarded_stores
from audit_stream.app.holds import LOOKING, follow_holds
from audit_stream.app.lag import Lag
from audit_stream.app.newest import AskedToEnd, newest_keyring
from audit_stream.app.registered import index_key_of, registered
from audit_stream.app.repeated import beside, repeated
from audit_stream.app.topics import archived_topics, changelog_topic
from audit_stream.app.watch import Inspector, retention_seconds, watch
from audit_stream.archive.chain import has_next
from audit_stream.archive.fleet import Registration, newest_epoch_told
from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import AuditError, BrokerError, BrokerRefused, TopicError
from audit_stream.evidence import layout
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.flatten.status_map import StatusMap
from audit_stream.holds.following import LOOK_SECONDS
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.hints import HintWriter
from audit_stream.keys.file import LoadedKeyring
from audit_stream.ports import WormStore
from audit_stream.settings import Settings
from audit_stream.stream.changelog import ChangelogWriter
from audit_stream.stream.context import Context, StepHook, no_hook
from audit_stream.stream.form import FIRST_FORM, StateForm
from audit_stream.stream.pipeline import Pipeline
from audit_stream.stream.process import EXIT_FENCED, ShutdownTimer, Watchdog, die
from audit_stream.stream.quarantine import QuarantineWriter
from audit_stream.stream.rebuild import fit_state_dir
from audit_stream.stream.rekey import Rekeyer
from audit_stream.stream.worker import LOOP, Worker
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics
from audit_stream.telemetry.web import WebServer

T = TypeVar("T")
log = logging.getLogger(__name__)
_BROKER_RETRY_SECONDS = 2.0
_LAST_ALARMS_SECONDS = 2.0


async def run_worker(
    settings: Settings, hook: StepHook = no_hook,
    adapt: Callable[[Context], Context] = lambda context: context, form: StateForm = FIRST_FORM,
) -> None:  # fmt: skip
    """Check, build, run until SIGTERM or SIGINT; the process must end when it returns, for the time
    to stop goes on. `form`: of the states this release keeps."""
    lock = lock_state_dir(settings.state_dir)
    fit_state_dir(settings.state_dir, form)
    interpreter.tune()
    log.info("reading and sealing: %s", "compiled" if interpreter.compiled() else "Python")
    metrics, note = Metrics(), EndNote(settings.state_dir)
    if (ended_by := note.take()) is not None:
        metrics.last_end_info.labels(ended_by).set(1)
    alarms = alarm_board(settings)
    health = Health("broker", "assigned", "restored", *READY.values())
    web = WebServer(settings.web_host, settings.web_port, metrics.registry, health, alarms)
    end = partial(die, last_words=alarms.flush, note=note.leave)
    watchdog = Watchdog(settings.stall_seconds, end)
    follow(metrics, health, alarms, watchdog)
    web.start()
    health.watch("event_loop", lambda: watchdog.age(LOOP) < settings.stall_seconds)
    timer = ShutdownTimer(settings.shutdown_seconds, end)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, timer, stop)
    try:
        async with contextlib.AsyncExitStack() as ends:
            await _run(
                settings, metrics, alarms, health, watchdog, stop, end, hook, adapt, form, ends
            )
    except AskedToEnd as asked:
        log.info("%s", asked)
    except AuditError as error:
        note.leave(error.code)
        raise
    finally:
        alarms.flush(_LAST_ALARMS_SECONDS)
        watchdog.stop()
        web.stop()
        lock.close()


def _stop(timer: ShutdownTimer, stop: asyncio.Event) -> None:
    timer.arm()
    stop.set()


async def _once_the_broker_answers(
    settings: Settings, stop: asyncio.Event, ask: Callable[[], Awaitable[T]]
) -> T | None:
    """What `ask` says; None when asked to stop while the broker was away. `BrokerRefused` at once,
    `BrokerError` when it was away for too long."""
    until = time.monotonic() + settings.broker_wait_seconds
    while not stop.is_set():
        try:
            return await ask()
        except BrokerRefused:
            raise
        except BrokerError as error:
            if time.monotonic() >= until:
                raise
            log.warning("%s; trying again", error.message)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _BROKER_RETRY_SECONDS)
    return None


async def _faults(
    connection: KafkaConnection, streams: Mapping[str, StreamObject], pipeline: Pipeline
) -> Mapping[str, TopicError]:
    """What is wrong with raw topics by now; the end, where an operator has begun anew."""
    faults = await topic_faults(connection, streams)
    for topic in faults:
        if await has_next(pipeline.context.store, streams[topic]):
            pipeline.context.die(EXIT_FENCED, f"{topic} has a new generation: start again in it")
    return faults


async def _start(
    ends: contextlib.AsyncExitStack, *clients: QuarantineWriter | Rekeyer
) -> None:  # fmt: skip
    for each in clients:
        await each.start()
        ends.push_async_callback(each.stop)


def _begin(watchdog: Watchdog) -> None:
    watchdog.beat(LOOP)
    watchdog.start()


def _twins(settings: Settings) -> dict[str, str]:
    """Raw topic -> its rekeyed twin, which is archived in its place."""
    return {t: a for t, a in archived_topics(settings).items() if t != a}


async def _put_map(found: StatusMap, store: WormStore) -> StatusMap:
    await store.put_if_absent(layout.map_name(found.hash), found.canonical_bytes, {})
    return found


def _watch_keys(
    settings: Settings, pipeline: Pipeline, registration: Registration, alarms: AlarmBoard
) -> KeyringWatch:  # fmt: skip
    async def adopt(newer: LoadedKeyring) -> None:
        await pipeline.adopt(rekeyed(pipeline.context, newer))

    context = pipeline.context
    keys = KeyringWatch(
        settings.keyring, context.origin.key_epoch, registration, context.newest_epoch, adopt,
        alarms, cover_wrapper(settings),
    )  # fmt: skip
    pipeline.context = replace(context, outdated=keys.look)
    return keys


async def _run(
    settings: Settings, metrics: Metrics, alarms: AlarmBoard, health: Health, watchdog: Watchdog,
    stop: asyncio.Event, end: Callable[[int, str], None], hook: StepHook,
    adapt: Callable[[Context], Context], form: StateForm, ends: contextlib.AsyncExitStack,
) -> None:  # fmt: skip
    connection = KafkaConnection.from_settings(settings)
    closed = load_archive_keyring(settings, closed=True)  # before anything else is asked for
    answered = partial(_once_the_broker_answers, settings, stop)
    topic_ids = await answered(partial(check_topics, connection, settings))
    if topic_ids is None:
        return
    stores = guarded_stores(settings, alarms, metrics, health)
    ends.push_async_callback(stores.close)
    store = stores.archive
    assurance = await check_assurance(store, settings)
    # The keyring is loaded only once it is said that it is: an erasure waits for who may hold it.
    private = PrivateObjects(stores.subjects, index_key_of(settings.keyring))
    word = registered(private, "worker", settings.static_member)
    registration = await ends.enter_async_context(word)
    status_map = load_status_map(settings)  # before anything is founded
    streams = await open_streams(store, closed, connection, settings, topic_ids)
    ring = await newest_keyring(
        settings, store, private, alarms, streams=streams, asked_to_end=stop.is_set
    )
    context = build_context(settings, ring, stores, assurance, await _put_map(status_map, store),
                            metrics, alarms, hook, end)  # fmt: skip
    options, newest = connection.client_options(), partial(newest_epoch_told, private)
    hints, quarantine, twins = HintWriter(options), QuarantineWriter(options), _twins(settings)
    held = await follow_holds(store, private, ring, alarms)
    context = replace(adapt(context), stored=hints.tell, held=held, newest_epoch=newest,
                      leave=leaver(connection, settings, streams))  # fmt: skip
    changelog = ChangelogWriter(settings.app_id, changelog_topic(settings), options)
    rekeyer = Rekeyer(twins, settings.partitions, options, metrics)
    timestamp_at = Inspector(connection).timestamp_at
    pipeline = Pipeline(context, streams, changelog, quarantine, timestamp_at)
    pipeline.paused = lambda: stores.failing
    keys = _watch_keys(settings, pipeline, registration, alarms)
    del ring, context  # the pipeline's alone are the keys: they go with the epoch
    stores.be_patient()
    worker = Worker(
        worker_config(settings, streams, twins, connection, registration.member.process, form),
        pipeline, changelog, rekeyer, watchdog,
    )  # fmt: skip
    await _start(ends, quarantine, rekeyer)
    hints.start()
    ends.push_async_callback(hints.stop)
    ask_retention = partial(retention_seconds, settings, connection, [*streams])
    retention = await answered(ask_retention) or {}
    _begin(watchdog)
    describe(metrics, settings, {topic: retention.get(topic) for topic in streams})
    works = (
        watch(worker, pipeline, Lag(pipeline, metrics, retention, timestamp_at), metrics, health,
              alarms, partial(_faults, connection, streams, pipeline), ask_retention),
        watch_disks(metrics, folders_of(settings)),
        AssuranceWatch(stores, assurance, metrics, alarms, end).run(settings),
        repeated(held.look, LOOK_SECONDS, alarms, *LOOKING),
        keys.run(),
    )  # fmt: skip
    async with beside(works):
        await worker.run(stop)

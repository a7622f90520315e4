"""The notary as a process: checks, builds, and a batch whenever one is due, until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Collection, Coroutine, Iterable
from datetime import datetime
from typing import Any

from audit_stream.anchors.anchoring import Anchoring
from audit_stream.app import interpreter
from audit_stream.app.alarms import alarm_board
from audit_stream.app.anchoring import anchoring_of
from audit_stream.app.checks import load_archive_keyring
from audit_stream.app.guarded import READY, guarded_stores
from audit_stream.app.now import now
from audit_stream.app.standing import tell_standing
from audit_stream.errors import BrokerError, ForkAlarm, FormatError, UnknownVersion
from audit_stream.evidence.batch import MOST_LEAVES
from audit_stream.kafka.ask import ends_of_those_there
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.hints import HintReader, Place
from audit_stream.keys.file import LoadedKeyring, log_signer
from audit_stream.notary.gather import Ends, Gatherer
from audit_stream.notary.notary import Notary
from audit_stream.ports import Alerts, WormStore
from audit_stream.settings import Settings
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics
from audit_stream.telemetry.web import WebServer

log = logging.getLogger(__name__)
_LAST_ALARMS_SECONDS = 2.0


def build_notary(
    settings: Settings, ring: LoadedKeyring, store: WormStore, alarms: Alerts
) -> Notary:  # fmt: skip
    """A notary that asks the settings' broker for the topics' ends."""
    connection = KafkaConnection.from_settings(settings)
    archived = ring.keyring.archive
    gatherer = Gatherer(store, archived, ring.trusted, alarms)

    async def ends() -> Ends | None:
        return await _ends(connection, gatherer.topics)

    return Notary(store, log_signer(ring.keyring), gatherer, ends, now, settings.log_batch_seconds)


async def _ends(connection: KafkaConnection, topics: Iterable[str]) -> Ends | None:
    """A broker that is away, or a topic that is gone, holds nothing up: the digest says so."""
    try:
        return await ends_of_those_there(connection, topics)
    except BrokerError as error:
        log.warning("the digest will not name the broker's ends: %s", error.message)
        return None


async def run_notary(settings: Settings, *, once: bool = False, serve: bool = True) -> None:
    """Write the archive log until SIGTERM or SIGINT; `once`: what is due now, and end; `serve`:
    listen on the web port."""
    interpreter.tune()
    ring = load_archive_keyring(settings, closed=True)
    log_signer(ring.keyring)
    metrics, health, alarms = Metrics(), Health("log", *READY.values()), alarm_board(settings)
    tell_standing(metrics, health, alarms)
    web: WebServer | None = None
    if serve:
        web = WebServer(settings.web_host, settings.web_port, metrics.registry, health, alarms)
    stores = guarded_stores(settings, alarms, metrics, health, strict=True)
    notary = build_notary(settings, ring, stores.archive, alarms)
    del ring  # keys of years must not live on here once they are destroyed elsewhere
    anchoring = anchoring_of(settings, stores.archive, notary.log.key, alarms)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    hints = HintReader(KafkaConnection.from_settings(settings))
    if web is not None:
        web.start()
    try:
        await notary.resume()
        health.set_ready("log", True)
        if once:
            await _write(notary, anchoring, metrics, None)
            await anchoring.settle()
        else:
            stores.archive.be_patient()
            hints.start()
            await _until_stopped(notary, anchoring, hints, metrics, stop, settings)
    except UnknownVersion as error:
        alarms.raise_alarm("unknown-version:log", str(error))
        raise
    except (ForkAlarm, FormatError) as error:
        alarms.raise_alarm("fork:log", str(error))
        raise
    finally:
        await hints.stop()
        await anchoring.close()
        alarms.flush(_LAST_ALARMS_SECONDS)
        await stores.close()
        if web is not None:
            web.stop()


async def _until_stopped(
    notary: Notary, anchoring: Anchoring, hints: HintReader, metrics: Metrics, stop: asyncio.Event,
    settings: Settings,
) -> None:  # fmt: skip
    stopping = asyncio.create_task(stop.wait())
    probed = -settings.log_probe_seconds  # when every partition was last looked at
    while not stop.is_set():
        await _unless(stopping, notary.catch_up())
        wait = notary.seconds_until_due()
        if wait and hints.count < MOST_LEAVES:
            _tell(notary, anchoring, metrics)
            await asyncio.wait({stopping}, timeout=min(wait, settings.log_poll_seconds))
            continue
        news, now = hints.take(), time.monotonic()
        if news is None or now - probed >= settings.log_probe_seconds:
            news, probed = None, now
        await _unless(stopping, _write(notary, anchoring, metrics, news))
    stopping.cancel()


async def _unless(stopping: asyncio.Task[Any], work: Coroutine[Any, Any, object]) -> None:
    """The store may be away for hours: a stop does not wait for what it asked."""
    doing = asyncio.create_task(work)
    await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not doing.done():
        doing.cancel()
    await asyncio.gather(doing, return_exceptions=not doing.done())


async def _write(
    notary: Notary, anchoring: Anchoring, metrics: Metrics, news: Collection[Place] | None
) -> None:  # fmt: skip
    began = time.monotonic()
    written = await notary.write(news)
    if written.leaves:
        anchoring.offer(written.head)
    metrics.log_leaves_total.inc(written.leaves)
    metrics.log_write_seconds.observe(time.monotonic() - began)
    _tell(notary, anchoring, metrics)
    log.info("archive log: %d leaves, %d of them new", written.head.size, written.leaves)


def _tell(notary: Notary, anchoring: Anchoring, metrics: Metrics) -> None:
    head = notary.head
    if head is not None:
        metrics.log_size.set(head.size)
        moment = datetime.fromisoformat(head.digest.time).timestamp()
        # A clock that was ahead must not hide from an alert what comes, or does not, behind it.
        metrics.log_checkpoint_timestamp_seconds.set(min(moment, time.time()))
    metrics.log_partitions_left_out.set(notary.left_out)
    for standing in anchoring.standings:
        metrics.anchor_failures.labels(standing.name).set(standing.failures)
        if standing.newest is not None:
            vouched = standing.newest.time.timestamp()
            metrics.anchor_timestamp_seconds.labels(standing.name).set(vouched)

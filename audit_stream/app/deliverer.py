"""Delivery to a SIEM as a process: `deliver siem`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from math import inf
from typing import Any

from audit_stream.app.adoption import KeyringWatch
from audit_stream.app.alarms import alarm_board
from audit_stream.app.covers import cover_wrapper
from audit_stream.app.delivering import Delivering, delivering
from audit_stream.app.newest import COMMAND_PATIENCE, AskedToEnd
from audit_stream.app.now import now
from audit_stream.app.probing import tell_check
from audit_stream.app.repeated import beside, repeated
from audit_stream.app.standing import tell_breaker, tell_standing
from audit_stream.archive.fleet import newest_epoch_told
from audit_stream.delivery.brake import Brake
from audit_stream.delivery.deliverer import Deliverer
from audit_stream.delivery.lane import Work
from audit_stream.delivery.position import Positions
from audit_stream.errors import AuditError, DeliveryConflict, UnknownVersion
from audit_stream.settings import Settings
from audit_stream.stores.clock import SystemClock
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics
from audit_stream.telemetry.web import WebServer

log = logging.getLogger(__name__)
_LAST_ALARMS_SECONDS, _MEASURE_SECONDS, _CHECK_SECONDS = 2.0, 30.0, 300.0
_READY, _CLOSED = "delivery", "breaker_closed"


async def run_deliverer(settings: Settings, *, once: bool = False, serve: bool = True) -> bool:
    """Deliver until SIGTERM or SIGINT; `once`: what is stored now, and end; `serve`: listen on the
    web port. Whether all that is stored and was looked at could be delivered. `DeliveryConflict`
    when another one delivers."""
    metrics, health = Metrics(), Health(_READY, _CLOSED)
    alarms, stop = alarm_board(settings), asyncio.Event()
    tell_standing(metrics, health, alarms)
    web: WebServer | None = None
    if serve:
        web = WebServer(settings.web_host, settings.web_port, metrics.registry, health, alarms)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if web is not None:
        web.start()
    try:
        patience = COMMAND_PATIENCE if once else inf
        async with delivering(settings, alarms, stop.is_set, patience=patience) as place:
            deliverer, work = deliverer_of(place, metrics, alarms)
            tell_breaker(place.breaker, metrics, health, _CLOSED)
            async with beside(_works(place, deliverer, metrics, alarms, once)):
                if once:
                    await _pass(deliverer, work, stop, settings, to_the_end=True)
                else:
                    await _until_stopped(place, deliverer, work, stop, health, alarms)
                _tell_lag(deliverer, place, metrics)
                return not deliverer.stopped and not (once and stop.is_set())
    except AskedToEnd:
        return not once  # it has looked at nothing
    finally:
        alarms.flush(_LAST_ALARMS_SECONDS)
        if web is not None:
            web.stop()


def deliverer_of(place: Delivering, metrics: Metrics, alarms: AlarmBoard) -> tuple[Deliverer, Work]:
    """What follows the archive, and what its partitions share."""
    settings, target = place.settings, place.courier.target

    def told(outcome: str, count: int) -> None:
        metrics.deliveries_total.labels(target, outcome).inc(count)
        if outcome == "rejected":
            metrics.undeliverable_total.labels(target).inc(count)

    for outcome in ("stored", "rejected", "disposed"):
        told(outcome, 0)  # a rate needs a beginning
    metrics.deliveries_in_flight.labels(target).set_function(lambda: place.gate.inside)
    work = Work(
        courier=place.courier, positions=Positions(place.positions, now), keep=place.keep,
        brake=Brake(settings.delivery_brake_run), told=told, clock=SystemClock(),
        archive=settings.archive_name, key_form=settings.delivery_idempotency_key,
        save_records=settings.delivery_position_records,
        longest_turn=2 * settings.delivery_limit_seconds + settings.delivery_status_seconds + 30,
    )  # fmt: skip
    return Deliverer(place.store, place.trusted, work, alarms), work


def _works(
    place: Delivering, deliverer: Deliverer, metrics: Metrics, alarms: AlarmBoard, once: bool
) -> Sequence[Coroutine[Any, Any, None]]:
    """What runs beside the delivery: the keyring is watched, the lag is measured."""
    works: list[Coroutine[Any, Any, None]] = []
    if not once:
        place.attempts.patient = True
        place.store.be_patient()
        measure = partial(_measure, deliverer, place, metrics)
        what = ("delivery:lag", "measuring the delivery's lag")
        works.append(repeated(measure, _MEASURE_SECONDS, alarms, *what))
        tell = partial(tell_check, place.settings, metrics, alarms)
        what = (f"delivery:check:{place.courier.target}", "checking idempotency keys")
        works.append(repeated(tell, _CHECK_SECONDS, alarms, *what))
    if place.held is not None:
        works.append(_key_watch(place, alarms).run())
    return works


def _key_watch(place: Delivering, alarms: AlarmBoard) -> KeyringWatch:
    held, settings = place.held, place.settings
    assert held is not None

    def tell_behind(behind: bool) -> None:
        if behind:
            place.gate.shut(tell_behind)
        else:
            place.gate.reopen(tell_behind)

    return KeyringWatch(
        settings.keyring, held.epoch, held.registration, partial(newest_epoch_told, held.private),
        place.adopt, alarms, cover_wrapper(settings), tell_behind,
    )  # fmt: skip


async def _until_stopped(
    place: Delivering, deliverer: Deliverer, work: Work, stop: asyncio.Event, health: Health,
    alarms: AlarmBoard,
) -> None:  # fmt: skip
    key, settings = f"delivery:{place.courier.target}", place.settings
    while not stop.is_set():
        busy = False
        try:
            await place.noted()
            busy = await _pass(deliverer, work, stop, settings)
        except DeliveryConflict as error:
            alarms.raise_alarm(key, str(error))
            raise
        except UnknownVersion as error:
            alarms.raise_alarm(f"unknown-version:{key}", str(error))
            raise
        except AuditError as error:
            alarms.raise_alarm(key, f"delivery failed and is tried again: {error}")
            health.set_ready(_READY, False)
        else:
            alarms.close_alarm(key, "delivery goes well again")
            health.set_ready(_READY, True)
        if not busy:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), settings.delivery_poll_seconds)


async def _pass(
    deliverer: Deliverer, work: Work, stop: asyncio.Event, settings: Settings, *,
    to_the_end: bool = False,
) -> bool:  # fmt: skip
    """One turn of each partition, or as many as there is something for. A stop lets posts under
    way come to their end, within the time that a process has to stop."""
    running = asyncio.create_task(_turns(deliverer, to_the_end))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            work.stopping.set()
            await asyncio.wait({running}, timeout=settings.shutdown_seconds)
        if running.done():
            return running.result()
        log.warning("stopped with posts under way: they are posted again, under the same keys")
        return False
    finally:
        for task in (running, stopping):
            task.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)


async def _turns(deliverer: Deliverer, to_the_end: bool) -> bool:
    busy = await deliverer.catch_up()
    while busy and to_the_end:
        busy = await deliverer.catch_up()
    return busy


async def _measure(deliverer: Deliverer, place: Delivering, metrics: Metrics) -> None:
    _tell_lag(deliverer, place, metrics)
    for topic, offsets in (await deliverer.lag_offsets()).items():
        metrics.delivery_lag_records.labels(place.courier.target, topic).set(offsets)


def _tell_lag(deliverer: Deliverer, place: Delivering, metrics: Metrics) -> None:
    for topic, seconds in deliverer.lag_seconds(time.time() * 1000).items():
        metrics.delivery_lag_seconds.labels(place.courier.target, topic).set(seconds)

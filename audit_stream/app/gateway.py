"""The gateway as a process: builds the service, keeps it fresh, serves it over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from types import FrameType

import uvicorn

from audit_stream.anchors.newest import newest_vouched
from audit_stream.app import interpreter
from audit_stream.app.alarms import alarm_board
from audit_stream.app.anchoring import own_trust
from audit_stream.app.checks import load_archive_keyring
from audit_stream.app.covers import cover_opener
from audit_stream.app.now import now
from audit_stream.app.places import archive_to_read, archive_to_write, subject_store
from audit_stream.app.reasons import ReasonCounter
from audit_stream.app.repeated import repeated
from audit_stream.app.standing import tell_standing
from audit_stream.bundle.messages import Collector
from audit_stream.errors import AuditError, ConfigError
from audit_stream.gateway import loop
from audit_stream.gateway.api import build_app
from audit_stream.gateway.around import HEAD_BYTES, Around
from audit_stream.gateway.auth import Door, JwtRules, load_rules
from audit_stream.gateway.journal import Journal
from audit_stream.gateway.pages.routes import Pages
from audit_stream.gateway.pages.sessions import Sessions
from audit_stream.gateway.protocol import BoundedProtocol
from audit_stream.gateway.reads import Gateway
from audit_stream.gateway.sealing import drain, unsealed_seconds
from audit_stream.gateway.service import Service
from audit_stream.gateway.signing import AnswerSigner, load_signer
from audit_stream.gateway.tokens import TokenFile
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.lookup import Lookup
from audit_stream.index.tail import Archive, Tail
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.notary.log import ArchiveLog
from audit_stream.ports import Alerts, WormStore
from audit_stream.settings import Settings
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics
from audit_stream.telemetry.web import WebServer

log = logging.getLogger(__name__)
_KEEP_ALIVE_SECONDS, _STOP_SECONDS = 15, 10
_LAST_SECONDS, _LAST_SEAL_SECONDS, _RENEW_SECONDS = 2.0, 5.0, 60.0
#: Alarms and what they are of.
_SEALING = ("journal:seal", "sealing the access journal")
_RENEWING = ("answer-key:renew", "renewing the keys of answers")


def build_gateway(settings: Settings) -> Around:
    """The application; its index, stores and journal are opened when it starts to serve."""
    ring, alarms = load_archive_keyring(settings), alarm_board(settings)
    index = ArchiveIndex.open(settings.index_dir, ring.keyring.archive, ring.keyring.index_key)
    store, subjects = archive_to_read(settings), subject_store(settings)
    archive = Archive(store, subjects, ring.trusted, ring.keyring)
    metrics, health = Metrics(), Health("index")
    service = _service(settings, archive, index, ArchiveLog(store, ring.log_key), alarms)
    service.told = partial(health.set_ready, "index")
    rules = _rules(settings)
    journal = Journal(settings.journal_dir, ring.keyring.archive)
    signer = load_signer(settings.answer_keys, time.time())
    gateway = Gateway(
        service=service, signer=signer, journal=journal, now=now,
        door=Door(TokenFile(settings.gateway_tokens), rules, settings.gateway_rate, wall=time.time),
    )  # fmt: skip
    reasons = ReasonCounter(KafkaConnection.from_settings(settings), index.is_retried, now)
    pages = Pages(
        gateway=gateway, sessions=Sessions(gateway.door), journal_folder=settings.journal_dir,
        alarms=alarms.open, breaker=lambda: store.breaker.state.value,
        reasons=lambda: reasons.counted,
    )  # fmt: skip
    background = _Background(
        service=service, signer=signer, journal=journal, alarms=alarms,
        sealed_into=archive_to_write(settings), seal_seconds=settings.journal_seal_seconds,
        refresh_seconds=settings.gateway_refresh_seconds, reasons=reasons,
        reason_seconds=settings.gateway_quarantine_seconds,
    )  # fmt: skip
    tell_standing(metrics, health, alarms)
    metrics.index_behind_seconds.set_function(lambda: service.behind_seconds)
    metrics.journal_unsealed_seconds.set_function(
        lambda: unsealed_seconds(journal.folder, time.time())
    )

    def observe(route: str, status: int, seconds: float) -> None:
        metrics.gateway_answers_total.labels(route, str(status)).inc()
        metrics.gateway_answer_seconds.labels(route).observe(seconds)

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[None]:
        web = WebServer(settings.web_host, settings.web_port, metrics.registry, health, alarms)
        web.start()
        fresh_keys = contextlib.nullcontext() if rules is None else rules.keys.kept_fresh()
        async with journal, fresh_keys:
            await service.refresh()
            async with background.running():
                yield
        await background.seal_the_rest()
        alarms.flush(_LAST_SECONDS)
        web.stop()
        index.close()
        for each in (store, background.sealed_into, subjects):
            await each.close()

    return build_app(gateway, running, observe, pages, metrics.platform_deletions_total.inc)


def _service(
    settings: Settings, archive: Archive, index: ArchiveIndex, archive_log: ArchiveLog,
    alarms: Alerts,
) -> Service:  # fmt: skip
    store, trust = archive.store, own_trust(settings, archive_log.key)
    return Service(
        archive=archive, index=index, tail=Tail(archive, index, alarms), alarms=alarms, now=now,
        lookup=Lookup(index, archive, cover_opener(settings)),
        archive_log=archive_log, vouched=partial(newest_vouched, store, archive_log, trust),
        collector=Collector(store=store, log=archive_log, segment_keys=archive.keys.publics),
    )  # fmt: skip


def _rules(settings: Settings) -> JwtRules | None:
    if settings.gateway_jwks is None:
        return None
    return load_rules(settings.gateway_jwks, settings.gateway_issuer, settings.gateway_audience)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Background:
    """What a gateway does beside answering."""

    service: Service
    signer: AnswerSigner
    journal: Journal
    sealed_into: WormStore
    alarms: Alerts
    seal_seconds: float
    refresh_seconds: float
    reasons: ReasonCounter
    reason_seconds: float

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While it is entered."""
        works = (
            self.service.keep_fresh(self.refresh_seconds),
            self.reasons.keep_counted(self.reason_seconds),
            repeated(self._seal, self.seal_seconds, self.alarms, *_SEALING),
            repeated(self._renew, _RENEW_SECONDS, self.alarms, *_RENEWING),
        )
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _seal(self) -> None:
        """What was read goes into the archive."""
        await self.journal.roll()
        await drain(self.journal.folder, self.sealed_into)

    async def seal_the_rest(self) -> None:
        """Once the journal is closed. What is left stays in its folder for the next start."""
        try:
            async with asyncio.timeout(_LAST_SEAL_SECONDS):
                await drain(self.journal.folder, self.sealed_into)
        except (TimeoutError, AuditError) as error:
            log.warning("the access journal is not all sealed: %s", type(error).__name__)

    async def _renew(self) -> None:
        """Have a key that is not too old, and know those of who shares the folder."""
        await asyncio.to_thread(self.signer.renew, time.time())


def server_config(settings: Settings) -> uvicorn.Config:
    """How it is served: bounded, without a banner and without an access log of the server's own."""
    if (settings.gateway_tls_cert is None) != (settings.gateway_tls_key is None):
        raise ConfigError("AUDIT_GATEWAY_TLS_CERT and AUDIT_GATEWAY_TLS_KEY go together")
    return uvicorn.Config(
        build_gateway(settings), host=settings.gateway_host, port=settings.gateway_port,
        ssl_certfile=settings.gateway_tls_cert, ssl_keyfile=settings.gateway_tls_key,
        access_log=False, server_header=False, log_config=None, lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=_STOP_SECONDS,
        http=BoundedProtocol, loop=loop.NAME, ws="none", h11_max_incomplete_event_size=HEAD_BYTES,
    )  # fmt: skip


class _Server(uvicorn.Server):
    """Ends by itself when told to: uvicorn's would die of the signal once it has closed."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second Ctrl-C waits for nobody."""
        self.force_exit |= self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    interpreter.tune()
    _Server(server_config(settings)).run()

"""The gateway as a process: builds the service, keeps it fresh, serves it over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import uvicorn
from fastapi import FastAPI

from audit_stream.anchors.newest import newest_vouched
from audit_stream.app.alarms import alarm_board
from audit_stream.app.anchoring import own_trust
from audit_stream.app.checks import load_archive_keyring
from audit_stream.app.notary import now
from audit_stream.app.places import archive_to_read, subject_store
from audit_stream.bundle.messages import Collector
from audit_stream.errors import ConfigError
from audit_stream.gateway.api import Gateway, build_app
from audit_stream.gateway.auth import Door, TokenFile, load_rules
from audit_stream.gateway.connection import BoundedProtocol
from audit_stream.gateway.journal import Journal
from audit_stream.gateway.service import Service
from audit_stream.gateway.signing import load_signer
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.lookup import Lookup
from audit_stream.index.tail import Archive, Tail
from audit_stream.keys.file import load_cover
from audit_stream.notary.log import ArchiveLog
from audit_stream.settings import Settings
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics
from audit_stream.telemetry.web import WebServer

log = logging.getLogger(__name__)
_KEEP_ALIVE_SECONDS, _STOP_SECONDS, _CONNECTIONS = 15, 10, 256


def _today() -> str:
    return datetime.now(UTC).strftime("%Y%m%d")


def build_gateway(settings: Settings) -> FastAPI:
    """The application; its index, stores and journal are opened when it starts to serve."""
    ring, alarms = load_archive_keyring(settings), alarm_board(settings)
    index = ArchiveIndex.open(settings.index_dir, ring.keyring.archive, ring.keyring.index_key)
    store, subjects = archive_to_read(settings), subject_store(settings)
    archive = Archive(store, subjects, ring.trusted, ring.keyring)
    archive_log = ArchiveLog(store, ring.log_key)
    trust = own_trust(settings, archive_log.key)

    async def vouched() -> int | None:
        found = await newest_vouched(store, archive_log, trust)
        return None if found is None else found.checkpoint.size

    service = Service(
        archive=archive, index=index, tail=Tail(archive, index, alarms), alarms=alarms, now=now,
        lookup=Lookup(index, archive, lambda tree: load_cover(settings.keyring, tree)),
        archive_log=archive_log, vouched=vouched,
        collector=Collector(store=store, log=archive_log, segment_keys=ring.trusted.publics),
    )  # fmt: skip
    rules = None
    if settings.gateway_jwks is not None:
        rules = load_rules(
            settings.gateway_jwks, settings.gateway_issuer, settings.gateway_audience
        )
    journal = Journal(settings.journal_dir, _today)
    signer = load_signer(settings.answer_keys, time.time())
    gateway = Gateway(
        service=service, signer=signer, journal=journal, now=now,
        door=Door(TokenFile(settings.gateway_tokens), rules, settings.gateway_rate, wall=time.time),
    )  # fmt: skip

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[None]:
        metrics, health = Metrics(), Health("index")
        web = WebServer(settings.web_host, settings.web_port, metrics.registry, health, alarms)
        web.start()
        async with journal:
            await service.refresh()
            health.set_ready("index", service.caught_up)
            fresh = asyncio.create_task(service.keep_fresh(settings.gateway_refresh_seconds))
            try:
                yield
            finally:
                fresh.cancel()
                await asyncio.gather(fresh, return_exceptions=True)
        alarms.flush(2.0)
        web.stop()
        index.close()
        await store.close()
        await subjects.close()

    return build_app(gateway, running)


def server_config(settings: Settings) -> uvicorn.Config:
    """How it is served: bounded, without a banner and without an access log of the server's own."""
    if (settings.gateway_tls_cert is None) != (settings.gateway_tls_key is None):
        raise ConfigError("AUDIT_GATEWAY_TLS_CERT and AUDIT_GATEWAY_TLS_KEY go together")
    return uvicorn.Config(
        build_gateway(settings), host=settings.gateway_host, port=settings.gateway_port,
        ssl_certfile=settings.gateway_tls_cert, ssl_keyfile=settings.gateway_tls_key,
        http=BoundedProtocol, access_log=False, server_header=False, log_config=None, lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=_STOP_SECONDS,
        limit_concurrency=_CONNECTIONS,
    )  # fmt: skip


def serve(settings: Settings) -> None:
    """Serve until SIGTERM."""
    uvicorn.Server(server_config(settings)).run()

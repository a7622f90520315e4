"""The gateway as a process: it is registered, loads the newest keys, and serves over HTTP."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from collections.abc import Coroutine
from socket import socket
from types import FrameType
from typing import Any

import uvicorn

from audit_stream.app import interpreter
from audit_stream.app.alarms import alarm_board
from audit_stream.app.gateway import Board, Stores, build_gateway, open_stores
from audit_stream.app.gateway_keys import with_covers
from audit_stream.app.newest import AskedToEnd, newest_keyring
from audit_stream.app.registered import registered
from audit_stream.app.repeated import beside, repeated
from audit_stream.app.standing import tell_standing
from audit_stream.archive.fleet import Registration
from audit_stream.errors import ConfigError
from audit_stream.gateway import loop
from audit_stream.gateway.around import HEAD_BYTES, Around
from audit_stream.gateway.protocol import BoundedProtocol
from audit_stream.ports import Alerts
from audit_stream.settings import Settings
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics
from audit_stream.telemetry.web import WebServer

log = logging.getLogger(__name__)
_KEEP_ALIVE_SECONDS, _STOP_SECONDS = 15, 10
_LAST_ALARMS_SECONDS = 2.0
RENEW_SECONDS = 60.0
_RENEWING = ("gateway:certificate", "taking a new certificate over")


class Certificate:
    """The one that is served, from files that are replaced before it ends."""

    def __init__(self, settings: Settings) -> None:
        """`ConfigError` for files that are no certificate and its key."""
        self._files = settings.gateway_tls_cert, settings.gateway_tls_key
        if None in self._files and self._files != (None, None):
            raise ConfigError("AUDIT_GATEWAY_TLS_CERT and AUDIT_GATEWAY_TLS_KEY go together")
        self._stamp = self._read_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    async def renew(self, served: ssl.SSLContext | None) -> None:
        """Take over what was replaced, for connections to come. `ConfigError`: what was read before
        is served on."""
        if served is not None and self._stamps() != self._stamp:
            self._read_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # half of a pair changes none
            self._stamp = self._read_into(served)
            log.info("the certificate was replaced: new connections are shown the new one")

    def _stamps(self) -> list[tuple[int, int]]:
        found = [path.stat() for path in self._files if path is not None]
        return [(each.st_ino, each.st_mtime_ns) for each in found]

    def _read_into(self, context: ssl.SSLContext) -> list[tuple[int, int]]:
        cert, key = self._files
        if cert is None:
            return []
        try:
            stamps = self._stamps()
            context.load_cert_chain(cert, key)
        except OSError as error:  # as `ssl.SSLError` is
            raise ConfigError(
                f"AUDIT_GATEWAY_TLS_CERT, AUDIT_GATEWAY_TLS_KEY: {error.strerror or error}",
                hint="name a PEM file with the certificate's chain, and one with its key",
            ) from None
        return stamps


def _server_config(settings: Settings) -> uvicorn.Config:
    """How it is served: bounded, without a banner and without an access log of the server's own."""
    return uvicorn.Config(
        _nothing_yet, host=settings.gateway_host, port=settings.gateway_port,
        ssl_certfile=settings.gateway_tls_cert, ssl_keyfile=settings.gateway_tls_key,
        access_log=False, server_header=False, log_config=None, lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=_STOP_SECONDS,
        http=BoundedProtocol, loop=loop.NAME, ws="none", h11_max_incomplete_event_size=HEAD_BYTES,
    )  # fmt: skip


async def _nothing_yet(*_: Any) -> None:
    """The application before there is one."""


class GatewayServer(uvicorn.Server):
    """Holds keys only while the archive's fleet has it registered.

    It ends by itself when told to: uvicorn's would die of the signal once it has closed.
    """

    def __init__(self, settings: Settings) -> None:
        self._certificate = Certificate(settings)
        super().__init__(_server_config(settings))
        self._settings = settings

    async def serve(self, sockets: list[socket] | None = None) -> None:
        """Until it is told to end. From its beginning on it answers on its web port."""
        settings = self._settings
        stores, alarms = open_stores(settings), alarm_board(settings)
        metrics, health = Metrics(), Health("index")
        tell_standing(metrics, health, alarms)
        web = WebServer(settings.web_host, settings.web_port, metrics.registry, health, alarms)
        web.start()
        try:
            with self.capture_signals():  # told while it begins, it takes its word away, too
                async with registered(stores.private, "gateway") as registration:
                    board = Board(metrics=metrics, health=health, alarms=alarms)
                    self.config.app = await self._loaded(stores, registration, board)
                    async with beside([self._renewed(alarms)]):
                        await super().serve(sockets)
        except AskedToEnd as asked:
            log.info("%s", asked)
        finally:
            alarms.flush(_LAST_ALARMS_SECONDS)
            web.stop()
            await stores.close()

    async def _loaded(self, stores: Stores, registration: Registration, board: Board) -> Around:
        """The application with the newest keys, and with no others."""
        ring = await newest_keyring(
            self._settings, stores.archive, stores.private, board.alarms,
            asked_to_end=lambda: self.should_exit,
        )  # fmt: skip
        keys = await asyncio.to_thread(with_covers, self._settings, ring)
        built = build_gateway(self._settings, stores, keys, registration, board)
        await registration.loaded(keys.epoch)
        return built

    def _renewed(self, alarms: Alerts) -> Coroutine[Any, Any, None]:
        async def renew() -> None:
            await self._certificate.renew(self.config.ssl if self.config.loaded else None)

        return repeated(renew, RENEW_SECONDS, alarms, *_RENEWING)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second Ctrl-C waits for nobody."""
        self.force_exit |= self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    interpreter.tune()
    GatewayServer(settings).run()

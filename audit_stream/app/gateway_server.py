"""The gateway as a process: it is registered, loads the newest keys, and serves over HTTP."""

from __future__ import annotations

import asyncio
import logging
import signal
from socket import socket
from types import FrameType
from typing import Any

import uvicorn

from audit_stream.app import interpreter
from audit_stream.app.alarms import alarm_board
from audit_stream.app.gateway import Stores, build_gateway, open_stores
from audit_stream.app.gateway_keys import with_covers
from audit_stream.app.newest import AskedToEnd, newest_keyring
from audit_stream.app.registered import registered
from audit_stream.archive.fleet import Registration
from audit_stream.errors import ConfigError
from audit_stream.gateway import loop
from audit_stream.gateway.around import HEAD_BYTES, Around
from audit_stream.gateway.protocol import BoundedProtocol
from audit_stream.settings import Settings

log = logging.getLogger(__name__)
_KEEP_ALIVE_SECONDS, _STOP_SECONDS = 15, 10
_LAST_ALARMS_SECONDS = 2.0


def _server_config(settings: Settings) -> uvicorn.Config:
    """How it is served: bounded, without a banner and without an access log of the server's own."""
    if (settings.gateway_tls_cert is None) != (settings.gateway_tls_key is None):
        raise ConfigError("AUDIT_GATEWAY_TLS_CERT and AUDIT_GATEWAY_TLS_KEY go together")
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
        super().__init__(_server_config(settings))
        self._settings = settings

    async def serve(self, sockets: list[socket] | None = None) -> None:
        """Until it is told to end."""
        stores = open_stores(self._settings)
        try:
            with self.capture_signals():  # told while it begins, it takes its word away, too
                async with registered(stores.private, "gateway") as registration:
                    self.config.app = await self._loaded(stores, registration)
                    await super().serve(sockets)
        except AskedToEnd as asked:
            log.info("%s", asked)
        finally:
            await stores.close()

    async def _loaded(self, stores: Stores, registration: Registration) -> Around:
        """The application with the newest keys, and with no others."""
        alarms = alarm_board(self._settings)
        try:
            ring = await newest_keyring(
                self._settings, stores.archive, stores.private, alarms,
                asked_to_end=lambda: self.should_exit,
            )  # fmt: skip
            keys = await asyncio.to_thread(with_covers, self._settings, ring)
            built = build_gateway(self._settings, stores, keys, registration, alarms)
        except BaseException:
            alarms.flush(_LAST_ALARMS_SECONDS)
            raise
        await registration.loaded(keys.epoch)
        return built

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second Ctrl-C waits for nobody."""
        self.force_exit |= self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    interpreter.tune()
    GatewayServer(settings).run()

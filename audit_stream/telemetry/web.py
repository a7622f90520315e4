"""The process's own small web server, in its own thread: it answers when the event loop cannot."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from audit_stream.errors import ConfigError
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health

_OK, _UNAVAILABLE, _NOT_FOUND = 200, 503, 404
_POLL_SECONDS = 0.1  # `stop` waits for at most one of these


class WebServer:
    """Serves /metrics, /healthz, /readyz and /alarms."""

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, health: Health, alarms: AlarmBoard
    ) -> None:
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(registry, health, alarms))
        except OSError as error:
            raise ConfigError(
                f"AUDIT_WEB_PORT: cannot listen on {host}:{port}: {error.strerror}",
                hint="another process uses it; choose another port, or 0 for any free one",
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="web", daemon=True
        )

    @property
    def port(self) -> int:
        """The port listened on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()


def _handler(
    registry: CollectorRegistry, health: Health, alarms: AlarmBoard
) -> type[BaseHTTPRequestHandler]:
    def metrics() -> tuple[int, str, bytes]:
        return _OK, CONTENT_TYPE_LATEST, generate_latest(registry)

    def conditions(values: dict[str, bool]) -> tuple[int, str, bytes]:
        status = _OK if all(values.values()) else _UNAVAILABLE
        return status, "application/json", json.dumps(values).encode()

    def open_alarms() -> tuple[int, str, bytes]:
        return _OK, "application/json", json.dumps(alarms.open()).encode()

    pages: dict[str, Any] = {
        "/metrics": metrics,
        "/healthz": lambda: conditions(health.live()),
        "/readyz": lambda: conditions(health.ready()),
        "/alarms": open_alarms,
    }

    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # who asked went away: nobody's fault
                super().handle()

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            status, kind, body = page() if page else (_NOT_FOUND, "text/plain", b"not found\n")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """No access log: scrapes every few seconds say nothing."""

    return Handler

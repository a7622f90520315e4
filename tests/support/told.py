"""Who is told over HTTP: a real server that remembers idempotency keys, or not."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from audit_stream.delivery.endpoint import Endpoint, HttpDelivery
from audit_stream.stores.clock import SystemClock

_POLL_SECONDS = 0.02


@dataclass
class ToldReceiver:
    """What it has, and how it behaves; changed while it runs."""

    posts: list[tuple[str, bytes]] = field(default_factory=list)  # key and body, as they came
    paths: list[str] = field(default_factory=list)  # that were posted to
    stored: dict[str, list[bytes]] = field(default_factory=dict)  # by key
    remembers: bool = True  # a key that it has is not stored again
    statuses: list[int] = field(default_factory=list)  # of the next answers; nothing is stored
    drops: int = 0  # so many connections are closed after storing, without an answer
    answer: Callable[[str, int], tuple[int, dict[str, str], bytes]] | None = None
    before: Callable[[], None] = lambda: None  # called before a post is looked at
    url: str = ""

    def take(self, key: str, body: bytes) -> tuple[int, dict[str, str], bytes] | None:
        """The answer to a post; None: the connection is closed."""
        self.before()
        self.posts.append((key, body))
        if self.statuses:
            return self.statuses.pop(0), {}, body
        kept = self.stored.setdefault(key, [])
        again = bool(kept)
        if not (again and self.remembers):
            kept.append(body)
        if self.drops:
            self.drops -= 1
            return None
        if self.answer is not None:
            return self.answer(key, len(self.posts))
        place = f"/stored/{key}/{1 if self.remembers else len(kept)}"
        return 201, {"Location": place}, b""

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What it has stored, in the order of keys."""
        return [json.loads(body) for _, kept in sorted(self.stored.items()) for body in kept]

    def records(self) -> list[dict[str, Any]]:
        """All that it was told to erase."""
        return [record for body in self.bodies for record in body["records"]]


@contextmanager
def told_receiver() -> Iterator[ToldReceiver]:
    """For the block, on a port of its own."""
    receiver = ToldReceiver()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(receiver))
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/api/v1/compliance/notifications"
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(receiver: ToldReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.paths.append(self.path)
            answer = receiver.take(self.headers["X-Idempotency-Key"], body)
            if answer is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._say(*answer)

        def do_GET(self) -> None:
            """How many it has under the key that the path ends with."""
            key = unquote(self.path.rpartition("/")[2])
            count = len(receiver.stored.get(key, ()))
            self._say(200, {}, json.dumps({"count": count}).encode())

        def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Silent."""

    return Handler


@asynccontextmanager
async def delivery_to(receiver: ToldReceiver, name: str = "siem") -> Any:
    """A client of it, for the block."""
    endpoint = Endpoint(name=name, url=receiver.url, synchronous=True, request_limit=5.0)
    delivery = HttpDelivery(
        endpoint, None, ssl.create_default_context(), clock=SystemClock(), now=time.time
    )
    try:
        yield delivery
    finally:
        await delivery.close()

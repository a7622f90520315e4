"""Who gets alarms over HTTP: a real server that keeps them, and a real proxy before it."""

from __future__ import annotations

import json
import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.certificates import HOST

LIMIT_SECONDS = 30
_POLL_SECONDS = 0.02
_CHUNK = 1 << 16
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def answer(status: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} So", *headers, "Content-Length: 0", "Connection: close", "", ""]
    return "\r\n".join(lines).encode()


@dataclass(frozen=True)
class Post:
    """What came in: the path, the content type, and the body read as JSON."""

    path: str
    kind: str
    body: dict[str, Any]


class Receiver:
    """Keeps what is posted, in order. `answers` are given in turn, then 200s."""

    def __init__(self, *answers: bytes, tls: ssl.SSLContext | None = None) -> None:
        self.answers = list(answers)
        self.posts: queue.Queue[Post] = queue.Queue()
        self.server = _serve(_receiving(self))
        scheme = "http"
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
            scheme = "https"
        self.port: int = self.server.server_address[1]
        self.url = f"{scheme}://{HOST}:{self.port}/alarms"

    def take(self, count: int) -> list[dict[str, Any]]:
        """The next so many bodies; fails when they do not come."""
        return [self.posts.get(timeout=LIMIT_SECONDS).body for _ in range(count)]

    def taken(self) -> list[dict[str, Any]]:
        """What has come, without waiting; it stays."""
        return [post.body for post in list(self.posts.queue)]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def _receiving(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = receiver.answers.pop(0) if receiver.answers else FINE
            receiver.posts.put(Post(self.path, self.headers["Content-Type"], body))
            self.wfile.write(reply)
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Silent."""

    return Handler


class Proxy:
    """An HTTP proxy that tunnels (CONNECT), or refuses with a status."""

    def __init__(self, refuse: int | None = None) -> None:
        self.refuse = refuse
        self.asked: list[str] = []
        self.server = _serve(_tunnelling(self))
        self.url = f"http://{HOST}:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def _tunnelling(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            proxy.asked.append(self.path)
            self.close_connection = True
            if proxy.refuse is not None:
                self.send_error(proxy.refuse)
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                self.send_response(200)
                self.end_headers()
                back = threading.Thread(target=_relay, args=(server, self.connection))
                back.start()
                _relay(self.connection, server)
                back.join()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Silent."""

    return Handler


def _relay(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        """One side is gone; the other learns it by itself."""


def _serve(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer((HOST, 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()
    return server


@contextmanager
def receiving(*answers: bytes) -> Iterator[Receiver]:
    receiver = Receiver(*answers)
    yield receiver
    receiver.close()


def server_tls(bundle: Path, newest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A server's side; `newest` is the best version it speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle)
    if newest is not None:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = newest
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context

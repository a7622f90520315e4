"""Bytes to a server and what it says, without a client's good manners."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

import h11


@dataclass(frozen=True, slots=True)
class Said:
    """One answer as it stood on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


def connect(url: str) -> socket.socket:
    """A connection to `scheme://host:port`, in clear whatever the scheme."""
    host, _, port = url.partition("://")[2].partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def heard(connection: socket.socket) -> bytes:
    """Everything until the server closes; it must, within the connection's time limit."""
    found = b""
    while True:
        try:
            part = connection.recv(1 << 16)
        except ConnectionError:
            return found
        if not part:
            return found
        found += part


def exchange(url: str, *parts: bytes, ended: bool = True) -> bytes:
    """Send, say that there is no more, and listen until the end."""
    with connect(url) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            if ended:
                connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # it may close before all is said
        return heard(connection)


def answers(data: bytes) -> list[Said]:
    """The whole answers in what was heard, none to HEAD; `h11.RemoteProtocolError` if it is no
    HTTP."""
    found: list[Said] = []
    while data:
        conn = h11.Connection(h11.CLIENT)
        conn.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
        conn.send(h11.EndOfMessage())
        conn.receive_data(data)
        response, body = conn.next_event(), b""
        while isinstance(response, h11.InformationalResponse):
            response = conn.next_event()
        assert isinstance(response, h11.Response), response
        while isinstance(event := conn.next_event(), h11.Data):
            body += bytes(event.data)
        headers = {name.decode(): value.decode() for name, value in response.headers}
        found.append(Said(response.status_code, headers, body))
        if not isinstance(event, h11.EndOfMessage):
            break
        data = conn.trailing_data[0]
    return found


def trickle(connection: socket.socket, data: bytes, seconds: float, limit: float) -> float:
    """Send a byte each `seconds` until the server hangs up; how long it let itself be held."""
    began = time.monotonic()
    connection.settimeout(seconds)
    for byte in data:
        if time.monotonic() - began > limit:
            raise AssertionError(f"the server holds on for more than {limit} s")
        try:
            connection.sendall(bytes([byte]))
            if connection.recv(1 << 16) == b"":
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    return time.monotonic() - began

"""HTTP/1.1 at the socket: what a client may cost before a request is one.

uvicorn bounds neither how long a head or body may trickle in nor how long a full buffer may stand,
and answers what is no HTTP in plain text. This does: times, sizes, and RFC 9457.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import orjson
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from audit_stream.gateway.around import HEAD_BYTES, TOO_LARGE
from audit_stream.gateway.problems import MEDIA_TYPE, Problem

REQUEST_SECONDS = 15.0  # from a request's first byte, or a connection's begin, to its last
UNREAD_SECONDS = 2.0  # for the rest of a body that was answered without being read
LAST_SECONDS = 10.0  # for a client to take what was answered, and a second more for each
SLOWEST_BYTES = 50_000  # of it
MOST_CONNECTIONS = 256  # beyond, requests are answered 503; beyond twice as many, nothing is
_PHRASES = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


async def _overloaded(scope: Any, receive: Any, send: Any) -> None:
    """What is served on a connection too many."""
    body = _body(503, "too many connections")
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"connection", b"close"),
               (b"retry-after", b"1"), (b"content-length", b"%d" % len(body))]  # fmt: skip
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class BoundedProtocol(H11Protocol):
    """One connection."""

    def __init__(self, config: Config, *given: Any, **named: Any) -> None:
        super().__init__(config, *given, **named)
        self._timer: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn; the clock runs."""
        super().connection_made(transport)
        if len(self.connections) > 2 * MOST_CONNECTIONS:
            transport.abort()
            return
        if len(self.connections) > MOST_CONNECTIONS:
            self.app = _overloaded
        self._arm(REQUEST_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn; the clock stops."""
        self._disarm()
        self._taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As uvicorn; the clock runs while a request is not all there."""
        if self._timer is None:
            self._arm(REQUEST_SECONDS)
        super().data_received(data)
        if self.conn.their_state is not h11.SEND_BODY and not self._head_begun():
            self._disarm()

    def _head_begun(self) -> bool:
        """Whether bytes of a request are there that are no request yet."""
        return self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])

    def handle_events(self) -> None:
        """As uvicorn; a pipelined request's clock runs from when it may be read."""
        super().handle_events()
        if self._timer is None and self._head_begun():
            self._arm(REQUEST_SECONDS)

    def on_response_complete(self) -> None:
        """As uvicorn; the rest of a body nobody reads any more is not waited for long."""
        if self.conn.their_state is h11.SEND_BODY:
            self._arm(UNREAD_SECONDS)
        super().on_response_complete()

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self._too_late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._timer = None
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._end()  # nobody asked anything
        else:
            self._refuse(408, "the request did not come in time")

    def _should_upgrade(self) -> bool:
        """There is nothing to upgrade to: the request is served as it is."""
        return False

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, or a head beyond its size."""
        if len(self.conn.trailing_data[0]) > HEAD_BYTES:
            self._refuse(TOO_LARGE.status, TOO_LARGE.detail)
        else:
            self._refuse(400, "this is no HTTP/1.1 request")

    def _refuse(self, status: int, detail: str) -> None:
        """An answer of our own, unless the application's has begun; the end of the connection."""
        self._disarm()
        # SEND_RESPONSE: the application was asked, and its answer has not begun
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = _body(status, detail)
            headers = [("content-type", MEDIA_TYPE), ("connection", "close"),
                       ("content-length", str(len(body)))]  # fmt: skip
            for event in (
                h11.Response(status_code=status, headers=headers, reason=_PHRASES[status]),
                h11.Data(data=body), h11.EndOfMessage(),
            ):  # fmt: skip
                self.transport.write(self.conn.send(event) or b"")
        self._end()

    def _end(self) -> None:
        if (cycle := self._asked()) is not None:  # what it still says goes nowhere
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()
        self._abort_later()

    def pause_writing(self) -> None:
        """As uvicorn; a client that takes nothing does not hold its place for ever."""
        self._abort_later()
        super().pause_writing()

    def resume_writing(self) -> None:
        """As uvicorn."""
        self._taken()
        super().resume_writing()

    def _abort_later(self) -> None:
        self._taken()
        seconds = LAST_SECONDS + self.transport.get_write_buffer_size() / SLOWEST_BYTES
        self._taking = self.loop.call_later(seconds, self.transport.abort)

    def _taken(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _asked(self) -> RequestResponseCycle | None:
        """The application's turn at the newest request; None before the first."""
        return self.cycle

    def timeout_keep_alive_handler(self) -> None:
        """As uvicorn; what was not taken yet is not kept for ever."""
        super().timeout_keep_alive_handler()
        self._abort_later()


def _body(status: int, detail: str) -> bytes:
    return orjson.dumps(Problem(status, detail).document())

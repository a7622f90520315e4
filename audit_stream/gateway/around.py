"""What stands around every request: headers, one line of log, and no error that gets out.

A page brings its own content security policy; all else may load nothing at all.

The line has no query, no body, no token, and no path that is not one of ours: those may hold
anything.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audit_stream.gateway.problems import MEDIA_TYPE, Problem
from audit_stream.telemetry.discreet import where

log = logging.getLogger(__name__)
#: Told of each answer: route, status, seconds.
Observe = Callable[[str, int, float], None]
INTERNAL = Problem(500, "an internal error; the gateway's log says where")
HEAD_BYTES = 16 << 10
TOO_LARGE = Problem(431, f"a request's head has {HEAD_BYTES} bytes at most")
_HEADERS = [
    (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]  # fmt: skip
_TLS_HEADERS = [*_HEADERS, (b"strict-transport-security", b"max-age=31536000")]


class Around:
    """The application, with that around it."""

    def __init__(self, app: ASGIApp, routes: Sequence[str], observe: Observe) -> None:
        self.app, self._observe = app, observe
        self._routes = frozenset(each for each in routes if "{" not in each)
        self._named = [(_shape(each), each) for each in routes if "{" in each]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), 0
        headers = _TLS_HEADERS if scope["scheme"] == "https" else _HEADERS

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name for name, _ in message["headers"]}
                missing = [each for each in headers if each[0] not in given]
                message["headers"] = [*message["headers"], *missing]
            await send(message)

        try:
            if _head_bytes(scope) > HEAD_BYTES:
                await _answer(TOO_LARGE, sending)
            else:
                await self.app(scope, receive, sending)
        except Exception as error:  # uvicorn would log it with its text
            log.error("internal error: %s at %s", type(error).__name__, where(error))
            if not status:
                await _answer(INTERNAL, sending)
        self._tell(scope, status, time.monotonic() - began)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = self._route(scope["path"])
        self._observe(route, status, seconds)
        caller = scope.get("state", {}).get("caller", "-")
        log.info("%s %s %d %.0f ms %s", _method(scope), route, status, seconds * 1000, caller)

    def _route(self, path: str) -> str:
        """What may be told of a path: one of ours, without what somebody put into it."""
        if path in self._routes:
            return path
        return next((name for shape, name in self._named if shape.fullmatch(path)), "(other)")


def _shape(route: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(route)))


async def _answer(problem: Problem, send: Send) -> None:
    body = orjson.dumps(problem.document())
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _head_bytes(scope: Scope) -> int:
    """uvicorn bounds a head only while it is not all there; one that comes at once may be 64 KiB"""
    lines = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    return len(scope["raw_path"]) + len(scope["query_string"]) + lines


def _method(scope: Scope) -> Any:
    """Methods are any word of the client's."""
    known = ("GET", "POST", "DELETE", "HEAD", "OPTIONS")
    return scope["method"] if scope["method"] in known else "(other)"

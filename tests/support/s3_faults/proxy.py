"""The server: it receives requests, lets them meet their fault, and sends the answers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Self
from urllib.parse import unquote

from aiohttp import web
from multidict import CIMultiDict

from audit_stream.stores.s3_target import S3Keys
from tests.support.faulty.faults import Fault, Faults, flipped
from tests.support.faulty.log import Seen, seen
from tests.support.s3_faults.signed import Incoming, by_another, deletion, over_it
from tests.support.s3_faults.upstream import Answer, Upstream

_REFUSALS = {
    "busy": (503, "SlowDown"),
    "timeout": (500, "InternalError"),
    "throttle": (429, "TooManyRequests"),
    "conflict": (409, "ConditionalRequestConflict"),
    "forbidden": (403, "AccessDenied"),
    "missing": (404, "NoSuchBucket"),
}
_PROXY_PAGE = b"<html><head><title>403 Forbidden</title></head><body>Blocked.</body></html>"
_CONFLICTS = (409, 412)
_LARGEST = 1 << 30


class _Gone(Exception):
    """No answer is to be sent."""


class FaultProxy:
    """The proxy before the server at `upstream`, while the `async with` lasts.

    `other` is who twins, rivals, delete markers and shadows come from.
    """

    def __init__(self, upstream: str, other: S3Keys, *, port: int = 0) -> None:
        self.faults = Faults()
        self.requests: list[Seen] = []
        self.url = ""
        self._upstream, self._other, self._port = Upstream(upstream), other, port
        self._late: set[asyncio.Task[Answer]] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self._upstream.__aenter__()
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # A handler ends when its client goes: that is what ends a stall.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, auto_decompress=False,
            shutdown_timeout=1,
        )  # fmt: skip
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.faults.clear()
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
        await self._upstream.__aexit__()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        came, body = time.time(), await request.read()
        incoming = Incoming(request.method, request.raw_path, CIMultiDict(request.headers), body)
        fault = self.faults.take(incoming.method, unquote(incoming.path))
        status = 0
        try:
            found = await self._meet(fault, incoming)
            status = found.status
        except _Gone:
            return _cut(request)
        finally:
            self.requests.append(
                seen(incoming.method, unquote(incoming.path), request.query, incoming.key_id,
                     status, fault, came)
            )  # fmt: skip
        return await _send(request, fault, found)

    # What a fault does before the request, instead of it, and after it

    async def _meet(self, fault: Fault | None, request: Incoming) -> Answer:
        if fault is None:
            return await self._upstream.ask(request)
        if (instead := _instead(fault)) is not None:
            return instead
        if fault.kind == "late":
            return await self._land_late(fault, request)
        if fault.kind == "stall":
            await fault.held()
        found = await self._upstream.ask(await self._before(fault, request))
        if fault.kind == "drop_after":
            raise _Gone
        if fault.kind == "stall_after":
            await fault.held()
        return await self._after(fault, request, found)

    async def _before(self, fault: Fault, request: Incoming) -> Incoming:
        """Change the world, or the request, before the server sees it."""
        if fault.kind == "bit_flip":
            return replace(request, body=flipped(request.body))
        if fault.kind == "twin":
            await self._do(by_another(request, self._other, request.body))
        if fault.kind == "rival":
            await self._do(by_another(request, self._other, _others_body(fault, request)))
        return request

    async def _after(self, fault: Fault, request: Incoming, found: Answer) -> Answer:
        if fault.kind == "bit_flip" and request.method == "GET":
            return replace(found, body=flipped(found.body))
        if fault.kind == "head_busy":
            if found.status in _CONFLICTS:
                self.faults.inject("busy", method="GET", path=f"/{request.bucket}")
            else:
                self.faults.give_back(fault)
        if found.status == 200 and fault.kind == "marker":
            await self._do(deletion(request, self._other))
        if found.status == 200 and fault.kind == "shadow":
            await self._do(over_it(request, self._other, _others_body(fault, request)))
        return found

    async def _do(self, request: Incoming) -> None:
        """What somebody else does; a conflict is an outcome, a refusal a mistake of the test."""
        found = await self._upstream.ask(request)
        if found.status >= 400 and found.status not in _CONFLICTS:
            raise RuntimeError(f"the other identity got {found.status}: {found.body.decode()}")

    async def _land_late(self, fault: Fault, request: Incoming) -> Answer:
        """Pass it on when released, in a task that outlives the handler of a client that went."""

        async def land() -> Answer:
            await fault.held()
            found = await self._upstream.ask(request)
            fault.landed.set()
            return found

        task = asyncio.create_task(land())
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        return await asyncio.shield(task)


def _instead(fault: Fault) -> Answer | None:
    """What answers in the service's place."""
    if fault.kind == "drop_before":
        raise _Gone
    if fault.kind == "proxy_403":
        return Answer(403, CIMultiDict({"Content-Type": "text/html"}), _PROXY_PAGE)
    if fault.kind not in _REFUSALS:
        return None
    status, code = _REFUSALS[fault.kind]
    headers = CIMultiDict({"Content-Type": "application/xml"})
    seconds = fault.retry_after if fault.kind != "throttle" else fault.retry_after or 1
    if seconds is not None:
        headers["Retry-After"] = str(seconds)
    body = f"<Error><Code>{code}</Code><Message>A fault of a test.</Message></Error>"
    return Answer(status, headers, body.encode())


def _others_body(fault: Fault, request: Incoming) -> bytes:
    return b"rival " + request.body if fault.body is None else fault.body


async def _send(request: web.Request, fault: Fault | None, found: Answer) -> web.StreamResponse:
    if fault is None or fault.kind not in ("slow_body", "cut_body"):
        body = b"" if request.method == "HEAD" else found.body
        return web.Response(status=found.status, headers=found.headers, body=body)
    found.headers["Content-Length"] = str(len(found.body))
    response = web.StreamResponse(status=found.status, headers=found.headers)
    await response.prepare(request)
    half = len(found.body) // 2
    await response.write(found.body[:half])
    if fault.kind == "cut_body":
        return _cut(request)
    await fault.held()
    await response.write(found.body[half:])
    await response.write_eof()
    return response


def _cut(request: web.Request) -> web.StreamResponse:
    """End the connection at once: the client sees a reset, or a body that is too short."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()

"""The server: it receives requests, lets them meet their fault, and sends the answers."""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import replace
from typing import Self

from aiohttp import web
from multidict import CIMultiDict

from tests.support.blobs import authority, management, wire
from tests.support.blobs.log import client_of
from tests.support.blobs.management import Management
from tests.support.blobs.model import ApiError
from tests.support.blobs.routes import ACCOUNT, Incoming, answer, names
from tests.support.blobs.service import BlobService
from tests.support.blobs.wire import Answer
from tests.support.faulty.faults import Fault, Faults, flipped
from tests.support.faulty.log import Seen, seen

_CONFLICTS = frozenset((
    "BlobAlreadyExists", "BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold",
    "ConditionNotMet", "UnauthorizedBlobOverwrite",
))  # fmt: skip
_REFUSALS = {
    "busy": (503, "ServerBusy"),
    "timeout": (500, "OperationTimedOut"),
    "throttle": (429, "TooManyRequests"),
    "forbidden": (403, "AuthorizationFailed"),
    "missing": (404, "ResourceNotFound"),
}
_PROXY_PAGE = b"<html><head><title>403 Forbidden</title></head><body>Blocked.</body></html>"
_PROXY_JSON = b'{"error": {"code": "NotFound", "message": "no such host"}}'
_STRANGERS = {
    "proxy_403": Answer(403, {"Content-Type": "text/html"}, _PROXY_PAGE),
    "proxy_404": Answer(404, {"Content-Type": "text/plain"}, b"default backend - 404"),
    "proxy_404_json": Answer(404, {"Content-Type": "application/json"}, _PROXY_JSON),
}
_LARGEST = 1 << 30
_MANAGED = "/subscriptions/"


class _Gone(Exception):
    """No answer is to be sent."""


class BlobDouble:
    """The double, while the `async with` lasts; `service` is its first account.

    `tls`: a server's context; without one it speaks plain HTTP.
    """

    def __init__(
        self, service: BlobService | None = None, *, port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self.service = service or BlobService()
        self.accounts = {ACCOUNT: self.service}
        self.management = Management(self.accounts)
        self.faults = Faults()
        self.requests: list[Seen] = []
        self.root = ""  # without an account
        self._port, self._tls = port, tls
        self._late: set[asyncio.Task[Answer]] = set()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Of the first account."""
        return f"{self.root}/{ACCOUNT}"

    def add_account(self, name: str) -> BlobService:
        """Another account, with the identities and the clock of the first."""
        account = BlobService()
        account.clock, account.access = self.service.clock, self.service.access
        self.accounts[name] = account
        return account

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # A handler ends when its client goes: that is what ends a stall.
        runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            auto_decompress=False,
            shutdown_timeout=1,
        )
        await runner.setup()
        self._runner = runner
        await web.TCPSite(runner, "127.0.0.1", self._port, ssl_context=self._tls).start()
        scheme = "http" if self._tls is None else "https"
        self.root = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.faults.clear()
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)
        if self._runner is not None:
            server = self._runner.server
            for connection in server.connections if server is not None else ():
                if (
                    connection.transport is not None
                ):  # the end of TLS waits for a client that is gone
                    connection.transport.abort()
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        came = time.time()
        incoming = Incoming(
            request.method, request.path, dict(request.query),
            CIMultiDict(request.headers), await request.read(),
        )  # fmt: skip
        fault = self.faults.take(incoming.method, incoming.path)
        status = 0
        try:
            found = await self._meet(fault, incoming)
            status = found.status
        except _Gone:
            return _cut(request)
        finally:
            client = client_of(incoming.headers, incoming.query)
            self.requests.append(
                seen(incoming.method, incoming.path, incoming.query, client, status, fault, came)
            )
        return await self._send(request, fault, found)

    def _answer(self, request: Incoming) -> Answer:
        if request.path.startswith(_MANAGED):
            return self.management.answer(request)
        if request.path.endswith(authority.PATH):
            return authority.answer(self.service.access, request)
        service = self.accounts.get(request.path.split("/")[1])
        if service is None:
            return wire.error(ApiError(400, "InvalidUri"))
        return answer(service, request)

    # What a fault does before the request, instead of it, and after it

    async def _meet(self, fault: Fault | None, request: Incoming) -> Answer:
        if fault is None:
            return self._answer(request)
        if (instead := _instead(fault, request.path)) is not None:
            return instead
        if fault.kind == "late":
            return await self._land_late(fault, request)
        if fault.kind == "stall":
            await fault.held()
        found = self._answer(self._before(fault, request))
        if fault.kind == "drop_after":
            raise _Gone
        if fault.kind == "stall_after":
            await fault.held()
        return self._after(fault, request, found)

    def _before(self, fault: Fault, request: Incoming) -> Incoming:
        """Change the world, or the request, before the service sees it."""
        if fault.kind == "bit_flip":
            return replace(request, body=flipped(request.body))
        if fault.kind in ("twin", "rival"):
            self._answer(_other_writer(fault, request))
        if fault.kind in ("unlock", "remove_policy"):
            account = self.accounts[request.path.split("/")[1]]
            container = account.containers.get(names(request.path)[0])
            if container is not None:
                container.unlock() if fault.kind == "unlock" else container.remove_policy()
        return request

    def _after(self, fault: Fault, request: Incoming, found: Answer) -> Answer:
        if fault.kind == "bit_flip" and request.method == "GET":
            return replace(found, body=flipped(found.body))
        if fault.kind == "head_busy":
            if found.headers.get("x-ms-error-code") in _CONFLICTS:
                self.faults.inject("busy", method="HEAD", path=request.path)
            else:
                self.faults.give_back(fault)
        return found

    async def _land_late(self, fault: Fault, request: Incoming) -> Answer:
        """Commit when released, in a task that outlives the handler of a client that gave up."""

        async def land() -> Answer:
            await fault.held()
            found = self._answer(request)
            fault.landed.set()
            return found

        task = asyncio.create_task(land())
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        return await asyncio.shield(task)

    async def _send(
        self, request: web.Request, fault: Fault | None, found: Answer
    ) -> web.StreamResponse:
        headers = found.headers | _common(request)
        if fault is None or fault.kind not in ("slow_body", "cut_body"):
            return web.Response(status=found.status, headers=headers, body=found.body)
        headers["Content-Length"] = str(len(found.body))
        response = web.StreamResponse(status=found.status, headers=headers)
        await response.prepare(request)
        half = len(found.body) // 2
        await response.write(found.body[:half])
        if fault.kind == "cut_body":
            return _cut(request)
        await fault.held()
        await response.write(found.body[half:])
        await response.write_eof()
        return response


def _instead(fault: Fault, path: str) -> Answer | None:
    """What answers in the service's place."""
    if fault.kind == "drop_before":
        raise _Gone
    if fault.kind in _STRANGERS:
        return _STRANGERS[fault.kind]
    if fault.kind not in _REFUSALS:
        return None
    seconds = 1 if fault.kind == "throttle" else None
    seconds = seconds if fault.retry_after is None else fault.retry_after
    headers = {} if seconds is None else {"Retry-After": str(seconds)}
    refusal = ApiError(*_REFUSALS[fault.kind], headers)
    return management.error(refusal) if path.startswith(_MANAGED) else wire.error(refusal)


def _other_writer(fault: Fault, request: Incoming) -> Incoming:
    """The same request from someone else, who has every right; a rival brings other bytes."""
    headers = CIMultiDict(request.headers)
    headers["Authorization"] = "SharedKey another:writer"
    if fault.kind == "twin":
        return replace(request, headers=headers)
    for name in ("Content-MD5", "x-ms-blob-content-md5"):
        headers.pop(name, None)
    if fault.metadata is not None:
        for name in wire.metadata(request.headers):
            headers.pop(f"x-ms-meta-{name}")
        headers.update({f"x-ms-meta-{name}": value for name, value in fault.metadata.items()})
    body = b"rival " + request.body if fault.body is None else fault.body
    return replace(request, headers=headers, body=body)


def _common(request: web.Request) -> dict[str, str]:
    headers = {"x-ms-version": request.headers.get("x-ms-version", "2025-11-05")}
    headers["x-ms-request-id"] = "00000000-0000-0000-0000-000000000000"
    if (asked := request.headers.get("x-ms-client-request-id")) is not None:
        headers["x-ms-client-request-id"] = asked
    return headers


def _cut(request: web.Request) -> web.StreamResponse:
    """End the connection at once: the client sees a reset, or a body that is too short."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()

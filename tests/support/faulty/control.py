"""The control channel of a server that runs as a process: JSON over HTTP, on a port of its own.

POST   /faults            the arguments of `Faults.inject`; answers {"id"}
DELETE /faults            disarms all and lets go what they hold up
POST   /faults/ID/release
GET    /faults/ID         {"hit", "landed"}
GET    /requests?after=N  the log from its Nth line on
GET    /counters          requests by client and second; by method, status and fault
DELETE /requests          empties the log

A server adds what else it can be told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, Self

from aiohttp import web

from tests.support.faulty.faults import Fault, Faults
from tests.support.faulty.log import Seen, counters

Handler = Callable[[web.Request], Awaitable[web.Response]]
Act = Callable[[web.Request, dict[str, Any]], Any]


class Faulty(Protocol):
    """A server that fails when told."""

    faults: Faults
    requests: list[Seen]


class FaultControl:
    """Serves the channel, while the `async with` lasts."""

    def __init__(self, server: Faulty, port: int = 0) -> None:
        self._server, self._port = server, port
        self._injected: list[Fault] = []
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        for method, path, act in self.routes():
            app.router.add_route(method, path, _handler(act))
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def routes(self) -> list[tuple[str, str, Act]]:
        """What can be asked and told."""
        server = self._server
        return [
            ("POST", "/faults", self._inject),
            ("DELETE", "/faults", lambda _, given: server.faults.clear()),
            ("GET", "/faults/{id}", self._fault),
            ("POST", "/faults/{id}/release", lambda asked, _: self._of(asked).release()),
            ("GET", "/requests", self._log),
            ("DELETE", "/requests", lambda _, given: server.requests.clear()),
            ("GET", "/counters", lambda _, given: counters(server.requests)),
        ]

    def _inject(self, _: web.Request, given: dict[str, Any]) -> dict[str, int]:
        if "body" in given:
            given["body"] = given["body"].encode()
        self._injected.append(self._server.faults.inject(**given))
        return {"id": len(self._injected) - 1}

    def _of(self, request: web.Request) -> Fault:
        return self._injected[int(request.match_info["id"])]

    def _fault(self, request: web.Request, _: dict[str, Any]) -> dict[str, bool]:
        fault = self._of(request)
        return {"hit": fault.hit.is_set(), "landed": fault.landed.is_set()}

    def _log(self, request: web.Request, _: dict[str, Any]) -> list[dict[str, Any]]:
        lines = self._server.requests[int(request.query.get("after", 0)) :]
        return [line._asdict() for line in lines]


def _handler(act: Act) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        given = await request.json() if request.can_read_body else {}
        try:
            return web.json_response(act(request, given))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise web.HTTPBadRequest(text=repr(error)) from error

    return handle

"""The control channel of a double that runs as a process: JSON over HTTP, on a port of its own.

POST   /containers        {"name", "kind", "days", "locked", "append", "account"?}
POST   /policies          {"container", "act": "unlock" | "remove", "account"?}
POST   /accounts          {"name"}
POST   /identities        {"sas", "rights"} or {"token", "role"}
POST   /faults            the arguments of `Faults.inject`; answers {"id"}
DELETE /faults            disarms all and lets go what they hold up
POST   /faults/ID/release
GET    /faults/ID         {"hit", "landed"}
GET    /requests?after=N  the log from its Nth line on
GET    /counters          requests by client and second; by method, status and fault
DELETE /requests          empties the log
GET    /clock             {"now"}
POST   /clock             {"advance"} or {"set"}: seconds; never back
POST   /switches          {"mutable": bool, "conflict": code}
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.support.blobs.faults import Fault
from tests.support.blobs.http import BlobDouble
from tests.support.blobs.log import counters
from tests.support.blobs.service import BlobService

Handler = Callable[[web.Request], Awaitable[web.Response]]
Act = Callable[[web.Request, dict[str, Any]], Any]


class Control:
    """Serves the channel, while the `async with` lasts."""

    def __init__(self, double: BlobDouble, port: int = 0) -> None:
        self._double, self._port = double, port
        self._faults: list[Fault] = []
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Control:
        app = web.Application()
        for method, path, act in self._routes():
            app.router.add_route(method, path, _handler(act))
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _routes(self) -> list[tuple[str, str, Act]]:
        double = self._double
        return [
            ("POST", "/containers", self._add_container),
            ("POST", "/policies", self._change_policy),
            ("POST", "/accounts", lambda _, given: double.add_account(**given) and None),
            ("POST", "/identities", self._register),
            ("POST", "/faults", self._inject),
            ("DELETE", "/faults", lambda _, given: double.faults.clear()),
            ("GET", "/faults/{id}", self._fault),
            ("POST", "/faults/{id}/release", lambda asked, _: self._of(asked).release()),
            ("GET", "/requests", self._log),
            ("DELETE", "/requests", lambda _, given: double.requests.clear()),
            ("GET", "/counters", lambda _, given: counters(double.requests)),
            ("GET", "/clock", lambda _, given: {"now": double.service.clock.now}),
            ("POST", "/clock", self._move_clock),
            ("POST", "/switches", self._switch),
        ]

    def _account(self, given: dict[str, Any]) -> BlobService:
        name = given.pop("account", None)
        return self._double.service if name is None else self._double.accounts[name]

    def _add_container(self, _: web.Request, given: dict[str, Any]) -> None:
        self._account(given).add_container(**given)

    def _change_policy(self, _: web.Request, given: dict[str, Any]) -> None:
        container = self._account(given).containers[given["container"]]
        {"unlock": container.unlock, "remove": container.remove_policy}[given["act"]]()

    def _register(self, _: web.Request, given: dict[str, Any]) -> None:
        access = self._double.service.access
        if "sas" in given:
            access.register_sas(given["sas"], given["rights"])
        else:
            access.register_token(given["token"], given["role"])

    def _inject(self, _: web.Request, given: dict[str, Any]) -> dict[str, int]:
        if "body" in given:
            given["body"] = given["body"].encode()
        self._faults.append(self._double.faults.inject(**given))
        return {"id": len(self._faults) - 1}

    def _of(self, request: web.Request) -> Fault:
        return self._faults[int(request.match_info["id"])]

    def _fault(self, request: web.Request, _: dict[str, Any]) -> dict[str, bool]:
        fault = self._of(request)
        return {"hit": fault.hit.is_set(), "landed": fault.landed.is_set()}

    def _log(self, request: web.Request, _: dict[str, Any]) -> list[dict[str, Any]]:
        lines = self._double.requests[int(request.query.get("after", 0)) :]
        return [line._asdict() for line in lines]

    def _move_clock(self, _: web.Request, given: dict[str, Any]) -> dict[str, int]:
        clock = self._double.service.clock
        clock.set(given["set"]) if "set" in given else clock.advance(given["advance"])
        return {"now": clock.now}

    def _switch(self, _: web.Request, given: dict[str, Any]) -> None:
        for account in self._double.accounts.values():
            account.mutable = given.get("mutable", account.mutable)
            account.conflict = given.get("conflict", account.conflict)


def _handler(act: Act) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        given = await request.json() if request.can_read_body else {}
        try:
            return web.json_response(act(request, given))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise web.HTTPBadRequest(text=repr(error)) from error

    return handle

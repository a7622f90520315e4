"""The control channel of a double that runs as a process: what `FaultControl` has, and

POST   /containers        {"name", "kind", "days", "locked", "append", "account"?}
POST   /policies          {"container", "act": "unlock" | "remove", "account"?}
POST   /accounts          {"name"}
POST   /identities        {"sas", "rights"} or {"token", "role"}
GET    /clock             {"now"}
POST   /clock             {"advance"} or {"set"}: seconds; never back
POST   /switches          {"mutable": bool, "conflict": code}
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.support.blobs.http import BlobDouble
from tests.support.blobs.service import BlobService
from tests.support.faulty.control import Act, FaultControl


class Control(FaultControl):
    """Serves the channel, while the `async with` lasts."""

    def __init__(self, double: BlobDouble, port: int = 0) -> None:
        super().__init__(double, port)
        self._double = double

    def routes(self) -> list[tuple[str, str, Act]]:
        """See `FaultControl`."""
        double = self._double
        return [
            *super().routes(),
            ("POST", "/containers", self._add_container),
            ("POST", "/policies", self._change_policy),
            ("POST", "/accounts", lambda _, given: double.add_account(**given) and None),
            ("POST", "/identities", self._register),
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

    def _move_clock(self, _: web.Request, given: dict[str, Any]) -> dict[str, int]:
        clock = self._double.service.clock
        clock.set(given["set"]) if "set" in given else clock.advance(given["advance"])
        return {"now": clock.now}

    def _switch(self, _: web.Request, given: dict[str, Any]) -> None:
        for account in self._double.accounts.values():
            account.mutable = given.get("mutable", account.mutable)
            account.conflict = given.get("conflict", account.conflict)

"""The API's routes for requests to erase."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from audit_stream.erasure.request import Request as Erasure
from audit_stream.gateway import officer_schema as schema
from audit_stream.gateway.asked import parse_asked
from audit_stream.gateway.caller import Caller
from audit_stream.gateway.officer_answers import certified, looked_up, requested
from audit_stream.gateway.officers import REDACT
from audit_stream.gateway.once import GivenOnce
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.query import parse_page
from audit_stream.gateway.redactions import Redactions

REDACTIONS = "/api/v1/audit/redactions"
ITEM = f"{REDACTIONS}/{{request_ref}}"
APPROVAL, OPENING = f"{ITEM}/approval", f"{ITEM}/opening"
ROUTES = (REDACTIONS, ITEM, APPROVAL, OPENING)
Admit = Callable[[Request, str], Caller]
Body = Callable[[Request], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class RedactionRoutes:
    """What the API does with requests; `admit` and `body` are the API's own."""

    redactions: Redactions
    admit: Admit
    body: Body

    def add(self, app: FastAPI) -> None:
        """Serve them."""
        add = app.add_api_route
        add(REDACTIONS, self.file, methods=["POST"], responses=schema.FILE, status_code=201,
            openapi_extra=schema.FILE_BODY)  # fmt: skip
        add(REDACTIONS, self.page, methods=["GET"], responses=schema.PAGE,
            openapi_extra=schema.PAGE_PARAMETERS)  # fmt: skip
        add(ITEM, self.show, methods=["GET"], responses=schema.SHOW,
            openapi_extra=schema.BEARER)  # fmt: skip
        add(ITEM, self.withdraw, methods=["DELETE"], responses=schema.CHANGED,
            openapi_extra=schema.BEARER)  # fmt: skip
        add(APPROVAL, self.approve, methods=["POST"], responses=schema.CHANGED,
            openapi_extra=schema.BEARER)  # fmt: skip
        add(OPENING, self.opening, methods=["GET"], responses=schema.OPENING,
            openapi_extra=schema.BEARER)  # fmt: skip

    async def file(self, request: Request) -> Response:
        """Look whose records an erasure would reach, and file the request. A second caller has to
        approve it. The same again tells what became of it."""
        caller = self._officer(request)
        asked = parse_asked(await self.body(request))
        if asked.dry_run:
            return self._signed({"status": "looked", "dry_run": looked_up(
                await self.redactions.look(asked, caller)
            ), "request": None})  # fmt: skip
        filed, looked, is_new = await self.redactions.file(asked, caller)
        said = {"status": filed.state.value, "dry_run": looked_up(looked)}
        return self._signed(said | {"request": requested(filed)}, 201 if is_new else 200, filed)

    async def page(self, request: Request) -> Response:
        """The requests that this token may see, the newest first."""
        caller = self._officer(request, with_query=True)
        cursor, limit = parse_page(request.query_params.multi_items())
        found, cursor = await self.redactions.page(caller, cursor, limit)
        return self._signed(
            {"status": "listed", "requests": [requested(each) for each in found], "cursor": cursor}
        )

    async def show(self, request: Request, request_ref: str) -> Response:
        """One request, and its certificate once it is carried out."""
        caller = self._officer(request)
        found, certificate = await self.redactions.get(request_ref, caller)
        shown = None
        if certificate is not None:
            index = self.redactions.officers.gateway.service.index
            shown = certified(certificate, index.logged_at(certificate.entry.leaf))
        said = {"status": found.state.value, "certificate": shown}
        return self._signed(said | {"request": requested(found)}, 200, found)

    async def approve(self, request: Request, request_ref: str) -> Response:
        """Approve it, as another than who filed it. There is no way back once it is at work."""
        found = await self.redactions.approve(request_ref, self._officer(request))
        return self._changed(found)

    async def withdraw(self, request: Request, request_ref: str) -> Response:
        """Withdraw it, as long as it is not at work."""
        found = await self.redactions.withdraw(request_ref, self._officer(request))
        return self._changed(found)

    async def opening(self, request: Request, request_ref: str) -> Response:
        """What shows which records the certificate is about: given out once, to who filed it."""
        caller = self._officer(request)
        kept = await self.redactions.opening(request_ref, caller)
        answer = self._signed({"status": "given", "opening": kept.value})
        return GivenOnce(bytes(answer.body), partial(self.redactions.given, kept))

    def _officer(self, request: Request, *, with_query: bool = False) -> Caller:
        caller = self.admit(request, REDACT)
        if request.query_params and not with_query:
            raise Problem(400, "there are no parameters here")
        return caller

    def _changed(self, found: Erasure) -> Response:
        return self._signed(
            {"status": found.state.value, "request": requested(found)}, 200, found
        )  # fmt: skip

    def _signed(
        self, said: dict[str, Any], status: int = 200, about: Erasure | None = None
    ) -> Response:  # fmt: skip
        gateway = self.redactions.officers.gateway
        signed = gateway.signer.signed({**said, "verification_timestamp": gateway.now()})
        headers = {} if about is None else {"ETag": f'"{about.state.value}"'}
        return Response(signed, status, media_type="application/json", headers=headers)

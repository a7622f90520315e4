"""The API's routes for legal holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from audit_stream.evidence.redaction import check_reference
from audit_stream.gateway import officer_schema as schema
from audit_stream.gateway.asked import checked
from audit_stream.gateway.caller import Caller
from audit_stream.gateway.holding import Holding, parse_declaration
from audit_stream.gateway.officer_answers import held
from audit_stream.gateway.officers import HOLD
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.redaction_routes import Admit, Body

HOLDS = "/api/v1/audit/holds"
RELEASE, APPROVAL = f"{HOLDS}/{{hold_id}}/release", f"{HOLDS}/{{hold_id}}/approval"
ROUTES = (HOLDS, RELEASE, APPROVAL)


@dataclass(frozen=True, slots=True)
class HoldRoutes:
    """What the API does with holds; `admit` and `body` are the API's own."""

    holding: Holding
    admit: Admit
    body: Body

    def add(self, app: FastAPI) -> None:
        """Serve them."""
        add = app.add_api_route
        add(HOLDS, self.file, methods=["POST"], responses=schema.HELD, status_code=201,
            openapi_extra=schema.HOLD_BODY)  # fmt: skip
        add(HOLDS, self.all, methods=["GET"], responses=schema.ALL_HELD,
            openapi_extra=schema.BEARER)  # fmt: skip
        add(RELEASE, self.release, methods=["POST"], responses=schema.HOLD_CHANGED,
            openapi_extra=schema.RELEASE_BODY)  # fmt: skip
        add(APPROVAL, self.approve, methods=["POST"], responses=schema.HOLD_CHANGED,
            openapi_extra=schema.BEARER)  # fmt: skip

    async def file(self, request: Request) -> Response:
        """File a hold: it holds from now on, and is declared by whoever has the keys. The same
        matter and scope again finds the first."""
        caller = self._officer(request)
        asked = parse_declaration(await self.body(request))
        filed, is_new = await self.holding.file(asked, caller)
        said = {"status": filed.state.value, "hold": held(filed)}
        return self._signed(said, 201 if is_new else 200)

    async def all(self, request: Request) -> Response:
        """The holds that this token may see, the newest first."""
        found = await self.holding.all(self._officer(request))
        return self._signed({"status": "listed", "holds": [
            held(each, declared=declared) for each, declared in found
        ]})  # fmt: skip

    async def release(self, request: Request, hold_id: str) -> Response:
        """File a release. It goes on holding until another caller approves that."""
        caller = self._officer(request)
        given = await self.body(request)
        if given.keys() != {"reason"}:
            raise Problem(400, "name the reason, and nothing else")
        reason = checked(check_reference, given["reason"], "reason")
        found = await self.holding.release(hold_id, reason, caller)
        return self._signed({"status": found.state.value, "hold": held(found)})

    async def approve(self, request: Request, hold_id: str) -> Response:
        """Approve a release, as another than who filed it."""
        found = await self.holding.approve(hold_id, self._officer(request))
        return self._signed({"status": found.state.value, "hold": held(found)})

    def _officer(self, request: Request) -> Caller:
        caller = self.admit(request, HOLD)
        if request.query_params:
            raise Problem(400, "there are no parameters here")
        return caller

    def _signed(self, said: dict[str, Any], status: int = 200) -> Response:
        gateway = self.holding.officers.gateway
        signed = gateway.signer.signed({**said, "verification_timestamp": gateway.now()})
        return Response(signed, status, media_type="application/json")

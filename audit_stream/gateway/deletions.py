"""Deletion notices of platforms: taken, recorded, refused. The archive is exempt from them.

A platform that deletes a message or a tenant tells whoever keeps copies. What it sends may hold
anything; of a message that is archived and the caller's the id is recorded, which stands in the
archive anyway, and of everything else that it came.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from audit_stream.errors import StateError
from audit_stream.evidence.access import ENTRY
from audit_stream.gateway import schema
from audit_stream.gateway.caller import EVERY_TENANT, Caller
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.query import LONGEST, MOST, is_text
from audit_stream.gateway.reads import Gateway

log = logging.getLogger(__name__)
PATH = "/api/v1/audit/platform-deletions"
SCOPE = "audit:notify"
KIND = "platform-deletion"
EXEMPT_BY = (
    "archived records are kept under legal_hold: true in write-once storage, whatever a platform "
    "deletes; a person's fields are erased by a redaction request only"
)


@dataclass(frozen=True, slots=True)
class Deletions:
    """Takes notices for one gateway; `counted` is told of each."""

    gateway: Gateway
    counted: Callable[[], None]

    async def refuse(self, notice: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Record a notice; the answer. `Problem` 400 for ids that are none, 503 when it cannot be
        recorded: then the platform asks again."""
        named = _ids(notice)
        archived, tenants = self._archived(named, caller)
        entry = {
            "caller": caller.id, "found": len(archived), "kind": KIND, "messages": archived,
            "query": "message" if named else "none", "status": 202, "tenants": tenants,
            "time": self.gateway.now(), "v": ENTRY,
        }  # fmt: skip
        try:
            await self.gateway.journal.record(entry)
        except StateError as error:
            log.warning("%s", error)
            raise Problem(503, "the notice could not be recorded") from error
        self.counted()
        return {
            "status": "refused", "legal_hold": True, "exempt_by": EXEMPT_BY, "named": len(named),
            "archived": len(archived), "verification_timestamp": entry["time"],
        }  # fmt: skip

    def _archived(self, named: Sequence[str], caller: Caller) -> tuple[list[str], list[str]]:
        """Those of the ids under which a message of the caller's tenants is archived; the tenants,
        where the caller is bound to them."""
        index = self.gateway.service.index
        found, tenants, every = [], set[str](), EVERY_TENANT in caller.tenants
        for name in named:
            messages = index.messages(name)
            mine = {tenant for tenant in caller.tenants
                    if any(index.ids.is_of(each, tenant) for each in messages)}  # fmt: skip
            if mine or (messages and every):
                found.append(name)
                tenants |= mine
        return sorted(found), sorted(tenants)


def _ids(notice: Mapping[str, Any]) -> list[str]:
    """The message ids of a notice; what else it has is not looked at."""
    given = notice.get("message_uuids", [])
    if not isinstance(given, list) or len(given) > MOST:
        raise Problem(400, f"message_uuids is a list of {MOST} ids at most")
    if not all(map(is_text, given)):
        raise Problem(400, f"a message's id has 1 to {LONGEST} characters, none of them control")
    return sorted(set(given))


def add_route(
    app: FastAPI, deletions: Deletions, admit: Callable[[Request, str], Caller],
    body: Callable[[Request], Awaitable[dict[str, Any]]],
) -> None:  # fmt: skip
    """Serve it; `admit` and `body` are the API's."""

    @app.post(PATH, status_code=202, responses=schema.DELETION, openapi_extra=schema.NOTICE)
    async def platform_deletion(request: Request) -> Response:
        """A platform's notice that it deleted something: recorded, and refused."""
        caller = admit(request, SCOPE)
        if request.query_params:
            raise Problem(400, "the parameters belong into the body")
        said = await deletions.refuse(await body(request), caller)
        signed = deletions.gateway.signer.signed(said)
        return Response(signed, status_code=202, media_type="application/json")

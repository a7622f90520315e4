"""The pages of privacy officers and counsel: requests to erase, their certificates, legal holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from audit_stream.archive.certificates import Certificate
from audit_stream.evidence.redaction import check_reference
from audit_stream.evidence.tree import verify_inclusion
from audit_stream.gateway.asked import KINDS, Asked, checked, parse_asked
from audit_stream.gateway.caller import Caller
from audit_stream.gateway.holding import PERSONS, PLACES, Holding, parse_declaration
from audit_stream.gateway.officer_answers import state_of
from audit_stream.gateway.officers import HOLD, REDACT, Officers
from audit_stream.gateway.once import GivenOnce
from audit_stream.gateway.pages import render
from audit_stream.gateway.pages.sessions import Session
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.query import USUAL
from audit_stream.gateway.redactions import Redactions

COMPLIANCE, REQUEST, LOOK, FILE, APPROVE, WITHDRAW, OPENING = (
    "/compliance", "/compliance/request", "/compliance/look", "/compliance/file",
    "/compliance/approve", "/compliance/withdraw", "/compliance/opening",
)  # fmt: skip
HOLDS, HOLD_FILE, HOLD_RELEASE, HOLD_APPROVE = (
    "/holds", "/holds/file", "/holds/release", "/holds/approve",
)  # fmt: skip
PATHS = (
    COMPLIANCE, REQUEST, LOOK, FILE, APPROVE, WITHDRAW, OPENING, HOLDS, HOLD_FILE, HOLD_RELEASE,
    HOLD_APPROVE,
)  # fmt: skip
_CHOICE = "variant-"  # before the number of a spelling
MOST_CHOICES = 10  # of spellings in one form
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Shared:
    """What all pages share, as `Pages` has it."""

    session: Callable[[Request], Session]
    posted: Callable[[Request], Awaitable[tuple[Session, dict[str, str]]]]
    html: Callable[..., Response]


class Compliance:
    """Their routes. Each takes the scope of its act; what is done stands in the journal."""

    def __init__(self, officers: Officers, shared: Shared) -> None:
        self._officers, self._shared = officers, shared
        self._redactions, self._holding = Redactions(officers), Holding(officers)

    def handlers(self) -> dict[str, dict[str, Handler]]:
        """By method and path."""
        return {
            "GET": {COMPLIANCE: self.requests, REQUEST: self.request, HOLDS: self.holds},
            "POST": {
                LOOK: self.look, FILE: self.file, APPROVE: self.approve, WITHDRAW: self.withdraw,
                OPENING: self.opening, HOLD_FILE: self.hold, HOLD_RELEASE: self.release,
                HOLD_APPROVE: self.approve_release,
            },
        }  # fmt: skip

    # Requests to erase

    async def requests(self, request: Request) -> Response:
        """The form, and every request."""
        session = self._may(self._shared.session(request), REDACT)
        cursor = request.query_params.get("cursor")
        found, behind = await self._redactions.page(session.caller, cursor, USUAL)
        return self._shared.html(
            "compliance", session, found=found, cursor=behind, today=self._today(), given={},
            kinds=KINDS,
        )  # fmt: skip

    async def look(self, request: Request) -> Response:
        """The dry run: what an erasure would reach, and the form to file it."""
        session, fields = await self._posted(request, REDACT)
        asked = _asked({**fields, "dry_run": True})
        looked = await self._redactions.look(asked, session.caller)
        others = [each for each in looked.spellings if each.number]
        return self._shared.html(
            "compliance_look", session, looked=looked, others=others[:MOST_CHOICES],
            more=len(others) - MOST_CHOICES, given=_kept(fields), kind=asked.kind,
        )  # fmt: skip

    async def file(self, request: Request) -> Response:
        """File it; a repetition leads to what became of the first."""
        session, fields = await self._posted(request, REDACT)
        filed, _, _ = await self._redactions.file(_asked(fields), session.caller)
        return _to_request(filed.ref)

    async def request(self, request: Request) -> Response:
        """One request, and its certificate with what proves it."""
        session = self._may(self._shared.session(request), REDACT)
        ref = request.query_params.get("ref", "")
        found, certificate = await self._redactions.get(ref, session.caller)
        proof = None if certificate is None else await self._proven(certificate)
        return self._shared.html(
            "compliance_request", session, it=found, certificate=certificate, proof=proof,
            today=self._today(), mine=found.requested_by == session.caller.id,
        )  # fmt: skip

    async def approve(self, request: Request) -> Response:
        """By a second person."""
        session, fields = await self._posted(request, REDACT)
        found = await self._redactions.approve(_ref(fields), session.caller)
        return _to_request(found.ref)

    async def withdraw(self, request: Request) -> Response:
        """As long as it is not at work."""
        session, fields = await self._posted(request, REDACT)
        found = await self._redactions.withdraw(_ref(fields), session.caller)
        return _to_request(found.ref)

    async def opening(self, request: Request) -> Response:
        """A file to keep, given out once."""
        session, fields = await self._posted(request, REDACT)
        kept = await self._redactions.opening(_ref(fields), session.caller)
        return GivenOnce(
            orjson.dumps(kept.value), partial(self._redactions.given, kept),
            headers={"Content-Disposition": 'attachment; filename="opening.json"'},
        )  # fmt: skip

    async def _proven(self, certificate: Certificate) -> dict[str, Any]:
        """Where it stands in the archive's log, proven just now, and who vouches for that. That a
        key of the archive's has signed it was checked when it was read."""
        service, leaf = self._officers.gateway.service, certificate.entry.leaf
        index, head, anchored = service.index.logged_at(leaf), service.head, service.anchored
        if index is None or head is None or index >= head.size:
            return {"index": None, "vouched": False}
        async with service.translated():
            path = await service.archive_log.inclusion(index, head)
        if not verify_inclusion(leaf, index, head.size, path, head.root):
            raise Problem(409, "the archive's log has another certificate at this place")
        vouched = anchored is not None and index < anchored.checkpoint.size
        return {"index": index, "vouched": vouched}

    # Legal holds

    async def holds(self, request: Request) -> Response:
        """The form, and every hold."""
        session = self._may(self._shared.session(request), HOLD)
        found = await self._holding.all(session.caller)
        return self._shared.html(
            "holds", session, found=found, kinds=(*PERSONS, *PLACES), me=session.caller.id,
            state_of=state_of,
        )  # fmt: skip

    async def hold(self, request: Request) -> Response:
        """Declare one."""
        session, fields = await self._posted(request, HOLD)
        await self._holding.file(parse_declaration(_by_kind(fields)), session.caller)
        return _see(HOLDS)

    async def release(self, request: Request) -> Response:
        """File its release."""
        session, fields = await self._posted(request, HOLD)
        reason = checked(check_reference, fields.get("reason", ""), "reason")
        await self._holding.release(fields.get("hold", ""), reason, session.caller)
        return _see(HOLDS)

    async def approve_release(self, request: Request) -> Response:
        """By a second person."""
        session, fields = await self._posted(request, HOLD)
        await self._holding.approve(fields.get("hold", ""), session.caller)
        return _see(HOLDS)

    # What they share

    async def _posted(self, request: Request, scope: str) -> tuple[Session, dict[str, str]]:
        session, fields = await self._shared.posted(request)
        return self._may(session, scope), fields

    def _may(self, session: Session, scope: str) -> Session:
        caller: Caller = session.caller
        caller.may(scope)
        return session

    def _today(self) -> str:
        return self._officers.gateway.now()[:10]


def _by_kind(fields: Mapping[str, str]) -> dict[str, Any]:
    """A form has the kind and the id in two fields."""
    found: dict[str, Any] = {
        name: each for name, each in fields.items() if name not in ("kind", "who")
    }
    if fields.get("kind") not in (*KINDS, *PLACES):
        raise Problem(400, "choose by what")
    return found | {fields["kind"]: fields.get("who", "")}


def _asked(fields: Mapping[str, Any]) -> Asked:
    numbers = [name.removeprefix(_CHOICE) for name in fields if name.startswith(_CHOICE)]
    if not all(each.isascii() and each.isdigit() and len(each) < 9 for each in numbers):
        raise Problem(400, "a spelling is chosen by its number")
    left = {name: each for name, each in fields.items() if not name.startswith(_CHOICE)}
    return parse_asked(_by_kind(left) | {"variants": [int(each) for each in numbers]})


def _kept(fields: Mapping[str, str]) -> dict[str, str]:
    """What the form to file repeats."""
    names = ("kind", "who", "platform_tenant_id", "request_ref", "basis")
    return {name: fields[name] for name in names if name in fields}


def _ref(fields: Mapping[str, str]) -> str:
    return fields.get("request_ref", "")


def _to_request(ref: str) -> Response:
    return _see(f"{REQUEST}?ref={quote(ref, safe='')}")


def _see(path: str) -> Response:
    return RedirectResponse(path, 303, headers=render.HEADERS)

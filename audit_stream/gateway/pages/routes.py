"""The pages' routes: who may see what, and what each of them puts into its template."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from audit_stream.errors import FormatError
from audit_stream.gateway.bodies import zipped
from audit_stream.gateway.caller import EVERY_TENANT
from audit_stream.gateway.officers import HOLD, REDACT, Officers
from audit_stream.gateway.pages import compliance, render, report, standing, words
from audit_stream.gateway.pages.accesses import Accesses
from audit_stream.gateway.pages.completeness import DAYS, pictures
from audit_stream.gateway.pages.compliance import Compliance, Shared
from audit_stream.gateway.pages.forms import SESSION, check_from_here, fields_of
from audit_stream.gateway.pages.message import certified, checked, is_anchored, shown
from audit_stream.gateway.pages.quarantine import Reasons, quarantine
from audit_stream.gateway.pages.report import Days
from audit_stream.gateway.pages.sessions import Session, Sessions
from audit_stream.gateway.pages.signing_in import sign_in, sign_in_form, sign_out
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.query import NAMES, Query, parse_fields
from audit_stream.gateway.reads import LOOK_UP_SECONDS, Gateway, in_time
from audit_stream.index.counts import milliseconds, number_of_day

HOME, LOOK_UP, BUNDLE, OVERVIEW, ARCHIVE, QUARANTINE, ACCESS, REPORT = (
    "/", "/look-up", "/bundle", "/overview", "/archive", "/quarantine", "/access", "/report",
)  # fmt: skip
CSV, STYLE, SIGN_IN, SIGN_OUT = "/report.csv", "/style.css", "/sign-in", "/sign-out"
PATHS = (
    HOME, LOOK_UP, BUNDLE, OVERVIEW, ARCHIVE, QUARANTINE, ACCESS, REPORT, CSV, STYLE, SIGN_IN,
    SIGN_OUT, *compliance.PATHS,
)  # fmt: skip
_READ, _EXPORT = "audit:read", "audit:export"
_REPORT_DAYS, _SHOWN_LINES = 30, 500
T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What the pages are made from, beside the gateway."""

    gateway: Gateway
    sessions: Sessions
    journal_folder: Path
    alarms: Callable[[], list[dict[str, Any]]]  # that are open
    breaker: Callable[[], str]  # state of the store's
    reasons: Callable[[], Reasons | None]  # of quarantine; None: nobody counts them here
    officers: Officers | None = None  # None: no pages of theirs
    _reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1), repr=False)
    _accesses: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    def add(self, app: FastAPI) -> None:
        """The routes. None of them is part of the API or its description."""
        gets = {
            HOME: self.home, OVERVIEW: self.overview, ARCHIVE: self.archive,
            QUARANTINE: self.quarantine, ACCESS: self.access, REPORT: self.report, CSV: self.csv,
            SIGN_IN: self.sign_in_form,
        }  # fmt: skip
        posts = {
            LOOK_UP: self.look_up, BUNDLE: self.bundle, SIGN_IN: self.sign_in,
            SIGN_OUT: self.sign_out,
        }  # fmt: skip
        shared = Shared(self._session, self._posted, self._html)
        more = {} if self.officers is None else Compliance(self.officers, shared).handlers()
        for method, handlers in (("GET", gets), ("POST", posts)):
            for path, handler in {**handlers, **more.get(method, {})}.items():
                app.router.routes.append(Route(path, self._guarded(handler), methods=[method]))
        app.router.routes.append(Route(STYLE, _style, methods=["GET"]))

    # Signing in

    async def sign_in_form(self, request: Request) -> Response:
        """The form for a token."""
        return sign_in_form(self.sessions, request)

    async def sign_in(self, request: Request) -> Response:
        """From a token to a session."""
        return await sign_in(self.gateway, self.sessions, request)

    async def sign_out(self, request: Request) -> Response:
        """The end of a session."""
        await self._posted(request)
        return sign_out(self.sessions, request)

    # Look-ups

    async def home(self, request: Request) -> Response:
        """The form of a look-up."""
        session = self._session(request)
        session.caller.may(_READ)
        return self._html("look_up", session, given={})

    async def look_up(self, request: Request) -> Response:
        """A message, or a customer's messages."""
        session, fields = await self._posted(request)
        caller = session.caller
        caller.may(_READ)
        query = _query(fields)
        try:
            answer = await self.gateway.look_up(query, caller)
        except Problem as problem:
            if problem.status in (404, 409):
                return self._not_verified(session, problem, fields)
            raise
        asked = {"given": fields, **self._state(answer)}
        if query.is_page:
            found = [shown(each) for each in answer["messages"]]
            return self._html("customer", session, found=found, cursor=answer["cursor"], **asked)
        return self._html(
            "message", session, it=shown(answer), checked=checked(answer),
            anchored=is_anchored(answer), **asked,
        )  # fmt: skip

    async def bundle(self, request: Request) -> Response:
        """A message's evidence bundle."""
        session, fields = await self._posted(request)
        session.caller.may(_EXPORT)
        return zipped(await self.gateway.bundle(_query(fields), session.caller))

    def _not_verified(self, session: Session, problem: Problem, fields: Any) -> Response:
        more = problem.more
        template = "not_found" if problem.status == 404 else "tampered"
        return self._html(
            template, session, problem.status, problem=problem, failed=more.get("failed"),
            erased=certified(more.get("redaction")), given=fields,
            through=words.through(more.get("archived_through", {})), **self._state(more),
        )  # fmt: skip

    def _state(self, answer: Any) -> dict[str, Any]:
        """What a page says about the log behind an answer, about who vouches for it, and about
        what may be archived and was not seen."""
        return {
            "unread": standing.unread(self.gateway.service),
            "as_of": answer["as_of"], "vouchers": words.vouchers(self.gateway.service.anchored),
            "no_anchor": words.NO_ANCHOR,
        }  # fmt: skip

    # The archive as a whole

    async def overview(self, request: Request) -> Response:
        """The dashboard, and completeness by topic, partition and day."""
        session = await self._whole_archive(request, "overview")
        now = milliseconds(self.gateway.now())
        last = _day(request, "until", self._today())
        found = await self._read(pictures, self.gateway.service, last)
        signs = await self._read(standing.signs, self.gateway.service, now)
        return self._html(
            "overview", session, signs=signs, pictures=found, first=last - DAYS + 1, last=last,
            earlier=last - DAYS, later=last + DAYS, today=self._today(),
        )  # fmt: skip

    async def archive(self, request: Request) -> Response:
        """Archive and store: positions, lag, breaker, log, anchors, alarms."""
        session = await self._whole_archive(request, "archive")
        service = self.gateway.service
        return self._html(
            "archive", session, places=await self._read(standing.places, service),
            now=milliseconds(self.gateway.now()), head=service.head, breaker=self.breaker(),
            alarms=self.alarms(), unread=standing.unread(service),
            name=service.archive.keyring.archive, anchored=service.anchored,
            vouchers=words.vouchers(service.anchored), no_anchor=words.NO_ANCHOR,
        )  # fmt: skip

    async def quarantine(self, request: Request) -> Response:
        """What could not be understood, and whether a retry was archived."""
        session = await self._whole_archive(request, "quarantine")
        found = await self._read(quarantine, self.gateway.service)
        return self._html("quarantine", session, found=found, reasons=self.reasons())

    async def access(self, request: Request) -> Response:
        """Who read what."""
        session = await self._whole_archive(request, "access")
        accesses = Accesses(self.gateway.service, self.journal_folder)
        # One at a time, for each holds a part of every journal; beside what waits for the index.
        async with (
            in_time(LOOK_UP_SECONDS), self._accesses, self.gateway.service.translated(),
        ):  # fmt: skip
            page = await accesses.page(request.query_params.get("cursor"))
        return self._html("access", session, page=page)

    async def report(self, request: Request) -> Response:
        """Messages by workflow, channel, status and error code."""
        session = self._session(request)
        days, found = await self._report(request, session)
        return self._html(
            "report", session, days=days, lines=found[:_SHOWN_LINES], total=len(found),
            messages=sum(count for _, count in found), sums=report.by_status(found),
            unread=standing.unread(self.gateway.service),
        )  # fmt: skip

    async def csv(self, request: Request) -> Response:
        """The same as a file."""
        days, found = await self._report(request, self._session(request))
        return render.csv_file(report.as_csv(found), f"report-{days.first}-{days.last}.csv")

    async def _report(self, request: Request, session: Session) -> tuple[Days, Any]:
        session.caller.may(_READ)
        given = request.query_params
        today = date.fromisoformat(self.gateway.now()[:10])
        days = report.days_of(given.get("from"), given.get("to"), today, _REPORT_DAYS)
        index = self.gateway.service.index
        found = await self._read(report.lines, index, days, session.caller)
        await self.gateway.view("report", session.caller)
        return days, found

    # What all of them share

    async def _read(self, call: Callable[..., T], *given: Any) -> T:
        """What a call reads in the index; one at a time, so that look-ups go on beside it."""
        async with in_time(LOOK_UP_SECONDS), self._reading:
            return await asyncio.to_thread(call, *given)

    def _today(self) -> int:
        return number_of_day(self.gateway.now()[:10])

    def _session(self, request: Request) -> Session:
        """Found once a request: each time counts against the rate of the token."""
        session: Session | None = getattr(request.state, "session", None)
        if session is None:
            session = self.sessions.find(SESSION.of(request))
            request.state.session, request.state.caller = session, session.caller.shown
        return session

    async def _posted(self, request: Request) -> tuple[Session, dict[str, str]]:
        """A session's form, sent from one of its own pages."""
        check_from_here(request)
        session = self._session(request)
        fields = await fields_of(request)
        session.check_form(fields.pop("form", ""))
        return session, fields

    async def _whole_archive(self, request: Request, page: str) -> Session:
        """A session that may see what is not of one tenant; the view is written down."""
        session = self._session(request)
        session.caller.may(_READ)
        if EVERY_TENANT not in session.caller.tenants:
            raise Problem(403, "this page is about the whole archive: it needs a token for every "
                               "tenant")  # fmt: skip
        await self.gateway.view(page, session.caller)
        return session

    def _html(self, template: str, session: Session, status: int = 200, **values: Any) -> Response:
        caller = session.caller
        return render.html(
            template, status, who=caller, form=session.csrf, here=template,
            whole=EVERY_TENANT in caller.tenants, may_export=_EXPORT in caller.scopes,
            may_redact=REDACT in caller.scopes, may_hold=HOLD in caller.scopes, **values,
        )  # fmt: skip

    def _guarded(self, handler: Handler) -> Handler:
        """Problems as pages: without a session, the form to sign in."""

        async def guarded(request: Request) -> Response:
            try:
                return await handler(request)
            except Problem as problem:
                if problem.status == 401:
                    return RedirectResponse(SIGN_IN, 303, headers=render.HEADERS)
                return self._problem(request, problem)

        return guarded

    def _problem(self, request: Request, problem: Problem) -> Response:
        values: dict[str, Any] = {"problem": problem, "failed": problem.more.get("failed")}
        try:
            answer = self._html("problem", self._session(request), problem.status, **values)
        except Problem:
            answer = render.html("problem", problem.status, who=None, here="", **values)
        answer.headers.update(problem.headers)
        return answer


async def _style(_: Request) -> Response:
    return render.style()


def _query(fields: dict[str, str]) -> Query:
    if odd := fields.keys() - NAMES.keys():
        raise Problem(400, f"the form has {len(odd)} fields that are none of ours")
    return parse_fields(fields)


def _day(request: Request, name: str, usual: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return usual
    try:
        found = number_of_day(text)
    except FormatError:
        raise Problem(400, "a day is written YYYY-MM-DD") from None
    if not DAYS <= found <= usual + DAYS:
        raise Problem(400, "this day is out of reach")
    return found

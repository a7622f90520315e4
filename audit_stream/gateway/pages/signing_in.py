"""Signing in with a token, and out again."""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from audit_stream.gateway.pages import render
from audit_stream.gateway.pages.forms import (
    SESSION,
    VISITOR,
    check_from_here,
    check_visitor,
    fields_of,
)
from audit_stream.gateway.pages.sessions import Sessions
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.reads import Gateway

_BYTES = 32
_REFUSED = "This token is not known here, has expired or was revoked."


def sign_in_form(sessions: Sessions, request: Request, status: int = 200,
                 said: str | None = None) -> Response:  # fmt: skip
    """The form; the browser is given what only its own form will hold."""
    visitor = VISITOR.of(request) or secrets.token_urlsafe(_BYTES)
    answer = render.html("sign_in", status, who=None, here="sign_in", said=said,
                         form=sessions.form_before(visitor))  # fmt: skip
    VISITOR.put(request, answer, visitor)
    return answer


async def sign_in(gateway: Gateway, sessions: Sessions, request: Request) -> Response:
    """A session for whoever has a token; who came in is written down."""
    check_from_here(request)
    fields, visitor = await fields_of(request), VISITOR.of(request)
    if visitor is None:
        raise Problem(403, "our cookie did not come with this form: open the page again; browsers "
                           "keep it over https only")  # fmt: skip
    check_visitor(sessions.form_before(visitor), fields.get("form", ""))
    try:
        name, session = sessions.begin(fields.get("token", ""), SESSION.of(request))
    except Problem as problem:
        if problem.status != 401:
            raise
        return sign_in_form(sessions, request, 401, _REFUSED)
    request.state.caller = session.caller.shown
    try:
        await gateway.view("sign-in", session.caller)
    except Problem:
        sessions.end(name)
        raise
    answer = RedirectResponse("/", 303, headers=render.HEADERS)
    SESSION.put(request, answer, name)
    VISITOR.clear(request, answer)
    return answer


def sign_out(sessions: Sessions, request: Request) -> Response:
    """Forget the session, here and in the browser."""
    sessions.end(SESSION.of(request))
    answer = RedirectResponse("/sign-in", 303, headers=render.HEADERS)
    SESSION.clear(request, answer)
    return answer

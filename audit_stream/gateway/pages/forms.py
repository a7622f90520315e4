"""What comes from a browser: cookies, forms, and whether a form was sent from a page of ours."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from audit_stream.gateway.bodies import body_of
from audit_stream.gateway.problems import Problem

_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 20
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ELSEWHERE = "this form was not sent from a page of this site"


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie of ours: not for scripts, not sent from other sites, gone with the browser.

    It is `Secure` and has the `__Host-` prefix, but for http on the machine itself: elsewhere a
    browser does not keep it without TLS, and nobody signs in over a line that others can read.
    """

    name: str

    def of(self, request: Request) -> str | None:
        """Its value in a request."""
        return request.cookies.get(self._named(request))

    def put(self, request: Request, response: Response, value: str) -> None:
        """Set it."""
        response.set_cookie(
            self._named(request), value, path="/", secure=_is_secure(request), httponly=True,
            samesite="strict",
        )  # fmt: skip

    def clear(self, request: Request, response: Response) -> None:
        """Take it back."""
        response.delete_cookie(
            self._named(request), path="/", secure=_is_secure(request), httponly=True,
            samesite="strict",
        )  # fmt: skip

    def _named(self, request: Request) -> str:
        return f"__Host-{self.name}" if _is_secure(request) else self.name


SESSION, VISITOR = Cookie("audit-session"), Cookie("audit-visitor")


def check_from_here(request: Request) -> None:
    """`Problem` 403 unless the browser says that one of our pages sent the request.

    Every browser of today says so, over TLS and on the machine itself; `Origin` is for older ones.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise Problem(403, _ELSEWHERE)
        return
    origin = urlsplit(request.headers.get("origin", "")).netloc
    if not origin or origin != request.headers.get("host"):
        raise Problem(403, _ELSEWHERE)


def check_visitor(wanted: str, given: str) -> None:
    """`Problem` 403 unless the sign-in form is the one this browser was given."""
    if not hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace")):
        raise Problem(403, "this form has expired; try again")


async def fields_of(request: Request) -> dict[str, str]:
    """A form's fields, blank ones left out, each without blanks around it."""
    if request.query_params:
        raise Problem(400, "the fields belong into the body")
    data = await body_of(request, _FORM)
    try:
        pairs = parse_qsl(data.decode(), strict_parsing=bool(data), max_num_fields=_MOST_FIELDS,
                          keep_blank_values=True, errors="strict")  # fmt: skip
    except ValueError:
        raise Problem(400, "the form cannot be read") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise Problem(400, "a field is given twice")
        found[name] = value.strip()
    return {name: value for name, value in found.items() if value}


def _is_secure(request: Request) -> bool:
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:  # a host that is none
        host = None
    return request.url.scheme == "https" or host not in _LOOPBACK

"""The HTTP API: routes, and what each of them does around a look-up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import Response

from audit_stream import __version__
from audit_stream.gateway import deletions, hold_routes, officer_schema, redaction_routes, schema
from audit_stream.gateway.answer import BUNDLE, KEYS
from audit_stream.gateway.around import INTERNAL, Around, Observe
from audit_stream.gateway.bodies import body_of, zipped
from audit_stream.gateway.caller import Caller
from audit_stream.gateway.hold_routes import HoldRoutes
from audit_stream.gateway.holding import Holding
from audit_stream.gateway.officers import Officers
from audit_stream.gateway.pages.routes import PATHS, Pages
from audit_stream.gateway.problems import MEDIA_TYPE, Problem
from audit_stream.gateway.query import Query, parse_fields, parse_pairs
from audit_stream.gateway.reads import Gateway
from audit_stream.gateway.redaction_routes import RedactionRoutes
from audit_stream.gateway.redactions import Redactions
from audit_stream.gateway.schema import SD_JWT

LOOK_UP = "/api/v1/audit/notifications"
SEARCH = f"{LOOK_UP}/search"
OPENAPI = "/openapi.json"
ROUTES = (
    LOOK_UP, SEARCH, BUNDLE, KEYS, OPENAPI, deletions.PATH, *redaction_routes.ROUTES,
    *hold_routes.ROUTES,
)  # fmt: skip
_DETAILS = {404: "there is nothing here", 405: "this method is not served here"}


def _wants(request: Request, kind: str) -> bool:
    """Whether it names this media type; which of several it likes best is not weighed."""
    named = ",".join(request.headers.getlist("accept")).split(",")
    return any(each.partition(";")[0].strip().lower() == kind for each in named)


def build_app(
    gateway: Gateway, running: Callable[[], AbstractAsyncContextManager[Any]], observe: Observe,
    pages: Pages | None = None, officers: Officers | None = None,
    refused: Callable[[], None] = lambda: None,
) -> Around:  # fmt: skip
    """The application; `running` is entered while it serves, `observe` told of each answer, and
    `refused` of each platform's notice. Without `pages` it is the API alone, without `officers`
    look-ups and notices alone."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with running():
            yield

    app = FastAPI(
        title="audit_stream retrieval API", version=__version__, lifespan=lifespan,
        docs_url=None, redoc_url=None, openapi_url=OPENAPI,
        description="Signed, verified answers about archived notifications.",
        redirect_slashes=False,
    )  # fmt: skip
    _add_errors(app)
    _add_routes(app, gateway)
    admit = partial(_admit, gateway)
    deletions.add_route(app, deletions.Deletions(gateway, refused), admit, _json_body)
    if officers is not None:
        RedactionRoutes(Redactions(officers), admit, _json_body).add(app)
        HoldRoutes(Holding(officers), admit, _json_body).add(app)
    if pages is not None:
        pages.add(app)
    described = schema.completed(get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes,
    ), officer_schema.COMPONENTS)  # fmt: skip
    app.openapi = lambda: described  # type: ignore[method-assign]
    return Around(app, (*ROUTES, *PATHS), observe)


def _add_routes(app: FastAPI, gateway: Gateway) -> None:
    @app.get(LOOK_UP, responses=schema.LOOK_UP, openapi_extra=schema.PARAMETERS)
    async def look_up(request: Request) -> Response:
        """One message with its history, or a customer's messages."""
        caller = _admit(gateway, request, "audit:read")
        query = parse_pairs(request.query_params.multi_items())
        return await _answer(gateway, request, query, caller)

    @app.post(SEARCH, responses=schema.SEARCH, openapi_extra=schema.BODY)
    async def search(request: Request) -> Response:
        """The same, with the ids in the body: a customer's id does not belong into a URL."""
        caller = _admit(gateway, request, "audit:read")
        if request.query_params:
            raise Problem(400, "the parameters belong into the body")
        query = parse_fields(await _json_body(request))
        return await _answer(gateway, request, query, caller)

    @app.post(BUNDLE, responses=schema.BUNDLE, openapi_extra=schema.BUNDLE_BODY)
    async def bundle(request: Request) -> Response:
        """One message's evidence bundle, to be checked without us."""
        caller = _admit(gateway, request, "audit:export")
        query = parse_fields(await _json_body(request))
        try:
            return zipped(await gateway.bundle(query, caller))
        except Problem as problem:
            raise _refused(gateway, problem) from None

    @app.get(KEYS, responses=schema.KEYS)
    async def keys() -> Response:
        """The public keys of answers (JWKS), those of old answers included."""
        return Response(orjson.dumps(gateway.signer.key_set), media_type="application/json")


def _admit(gateway: Gateway, request: Request, scope: str) -> Caller:
    given = request.headers.getlist("authorization")
    caller = gateway.door.admit(given[0] if len(given) == 1 else None)
    request.state.caller = caller.shown
    caller.may(scope)
    return caller


async def _answer(gateway: Gateway, request: Request, query: Query, caller: Caller) -> Response:
    try:
        if _wants(request, SD_JWT):
            payload, disclosures = await gateway.disclosed(query, caller)
            return Response(gateway.signer.sd_jwt(payload, disclosures), media_type=SD_JWT)
        document = await gateway.look_up(query, caller)
    except Problem as problem:
        raise _refused(gateway, problem) from None
    return Response(gateway.signer.signed(document), media_type="application/json")


def _refused(gateway: Gateway, problem: Problem) -> Problem:
    """The same, signed as a whole where it says something of the archive."""
    if problem.status not in (404, 409):
        return problem
    whole = {**problem.document(), "verification_timestamp": gateway.now()}
    signed = orjson.loads(gateway.signer.signed(whole))
    more = {name: signed[name] for name in signed.keys() - Problem.STANDARD}
    return Problem(problem.status, problem.detail, more, problem.headers)


async def _json_body(request: Request) -> dict[str, Any]:
    data = await body_of(request, "application/json")
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise Problem(400, "the body must be a JSON object")
    return found


def _add_errors(app: FastAPI) -> None:
    async def problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return _respond(error)

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _respond(
            Problem(error.status_code, _DETAILS.get(error.status_code, ""), headers=error.headers)
        )

    async def invalid(_: Request, error: Exception) -> Response:
        return _respond(Problem(422, "the request cannot be read"))

    async def internal(_: Request, error: Exception) -> Response:
        return _respond(INTERNAL)  # and it is raised again: `Around` logs it

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, internal)


def _respond(problem: Problem) -> Response:
    return Response(
        orjson.dumps(problem.document()), status_code=problem.status, media_type=MEDIA_TYPE,
        headers=problem.headers,
    )  # fmt: skip

"""The HTTP API: routes, and what each of them does around a look-up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from audit_stream import __version__
from audit_stream.errors import StateError
from audit_stream.evidence.access import ENTRY
from audit_stream.gateway import schema
from audit_stream.gateway.answer import BUNDLE, KEYS
from audit_stream.gateway.around import INTERNAL, Around, Observe
from audit_stream.gateway.auth import Caller, Door
from audit_stream.gateway.journal import Journal
from audit_stream.gateway.problems import MEDIA_TYPE, Problem
from audit_stream.gateway.query import Query, parse_fields, parse_pairs
from audit_stream.gateway.schema import SD_JWT
from audit_stream.gateway.service import Service
from audit_stream.gateway.signing import AnswerSigner

log = logging.getLogger(__name__)
LOOK_UP = "/api/v1/audit/notifications"
SEARCH = f"{LOOK_UP}/search"
OPENAPI = "/openapi.json"
ROUTES = (LOOK_UP, SEARCH, BUNDLE, KEYS, OPENAPI)
_BODY_BYTES, _BODY_SECONDS = 16 << 10, 10.0
_DETAILS = {404: "there is nothing here", 405: "this method is not served here"}
_LOOK_UP_SECONDS, _BUNDLE_SECONDS = 30.0, 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """What the routes use."""

    service: Service
    signer: AnswerSigner
    door: Door
    journal: Journal
    now: Callable[[], str]

    async def answer(self, request: Request, read: Callable[[], Awaitable[Query]]) -> Response:
        """Admit, check, look up, write down, sign. `read` gives the query."""
        caller = self._admit(request, "audit:read")
        query = await read()
        if _wants(request, SD_JWT):
            return await self._sd_jwt(query, caller)
        try:
            async with _in_time(_LOOK_UP_SECONDS):
                document = await self.service.look_up(query, caller)
        except Problem as problem:
            raise await self._refused(caller, query, problem, "read") from None
        await self._write_down(caller, query, 200, "read", document.get("messages", [document]))
        return Response(self.signer.signed(document), media_type="application/json")

    async def _sd_jwt(self, query: Query, caller: Caller) -> Response:
        try:
            async with _in_time(_LOOK_UP_SECONDS):
                said, document, shown = await self.service.disclosed(query, caller)
        except Problem as problem:
            raise await self._refused(caller, query, problem, "read") from None
        await self._write_down(caller, query, 200, "read", [said])
        return Response(self.signer.sd_jwt(document, shown), media_type=SD_JWT)

    async def bundle(self, request: Request, read: Callable[[], Awaitable[Query]]) -> Response:
        """As `answer`, as an evidence bundle."""
        caller = self._admit(request, "audit:export")
        query = await read()
        try:
            async with _in_time(_BUNDLE_SECONDS):
                data, answers = await self.service.evidence(query, caller, self.signer)
        except Problem as problem:
            raise await self._refused(caller, query, problem, "export") from None
        await self._write_down(caller, query, 200, "export", answers)
        return Response(data, media_type="application/zip", headers={
            "Content-Disposition": 'attachment; filename="evidence.zip"',
        })  # fmt: skip

    def _admit(self, request: Request, scope: str) -> Caller:
        given = request.headers.getlist("authorization")
        caller = self.door.admit(given[0] if len(given) == 1 else None)
        request.state.caller = caller.shown
        caller.may(scope)
        return caller

    async def _refused(
        self, caller: Caller, query: Query, problem: Problem, kind: str
    ) -> Problem:  # fmt: skip
        """The same, written down; signed as a whole where it says something of the archive."""
        await self._write_down(caller, query, problem.status, kind)
        if problem.status not in (404, 409):
            return problem
        whole = {**problem.document(), "verification_timestamp": self.now()}
        signed = orjson.loads(self.signer.signed(whole))
        more = {name: signed[name] for name in signed.keys() - Problem.STANDARD}
        return Problem(problem.status, problem.detail, more, problem.headers)

    async def _write_down(
        self, caller: Caller, query: Query, status: int, kind: str,
        answers: list[dict[str, Any]] = [],  # noqa: B006  # never changed
    ) -> None:  # fmt: skip
        """What was seen. By customer alone no message: a list of them would link a person's."""
        seen = [each["audit_record"] for each in answers]
        messages = [] if query.is_page else sorted(each["message_uuid"] for each in seen)
        entry = {
            "caller": caller.id, "found": len(seen), "kind": kind, "messages": messages,
            "query": query.kind, "status": status, "time": self.now(), "v": ENTRY,
            "tenants": sorted({each["platform_tenant_id"] for each in seen}),
        }  # fmt: skip
        try:
            await self.journal.record(entry)
        except StateError as error:
            log.warning("%s", error)
            raise Problem(503, "the access could not be recorded, so it is not answered") from error


def _wants(request: Request, kind: str) -> bool:
    """Whether it names this media type; which of several it likes best is not weighed."""
    named = ",".join(request.headers.getlist("accept")).split(",")
    return any(each.partition(";")[0].strip().lower() == kind for each in named)


@asynccontextmanager
async def _in_time(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Problem(503, "the archive did not answer in time", headers={"Retry-After": "5"}
                      ) from None  # fmt: skip


def build_app(
    gateway: Gateway, running: Callable[[], AbstractAsyncContextManager[Any]], observe: Observe
) -> Around:  # fmt: skip
    """The application; `running` is entered while it serves, `observe` told of each answer."""

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
    described = schema.completed(get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes,
    ))  # fmt: skip
    app.openapi = lambda: described  # type: ignore[method-assign]
    return Around(app, ROUTES, observe)


def _add_routes(app: FastAPI, gateway: Gateway) -> None:
    @app.get(LOOK_UP, responses=schema.LOOK_UP, openapi_extra=schema.PARAMETERS)
    async def look_up(request: Request) -> Response:
        """One message with its history, or a customer's messages."""

        async def read() -> Query:
            return parse_pairs(request.query_params.multi_items())

        return await gateway.answer(request, read)

    @app.post(SEARCH, responses=schema.SEARCH, openapi_extra=schema.BODY)
    async def search(request: Request) -> Response:
        """The same, with the ids in the body: a customer's id does not belong into a URL."""

        async def read() -> Query:
            if request.query_params:
                raise Problem(400, "the parameters belong into the body")
            return parse_fields(await _json_body(request))

        return await gateway.answer(request, read)

    @app.post(BUNDLE, responses=schema.BUNDLE, openapi_extra=schema.BUNDLE_BODY)
    async def bundle(request: Request) -> Response:
        """One message's evidence bundle, to be checked without us."""

        async def read() -> Query:
            return parse_fields(await _json_body(request))

        return await gateway.bundle(request, read)

    @app.get(KEYS, responses=schema.KEYS)
    async def keys() -> Response:
        """The public keys of answers (JWKS), those of old answers included."""
        return Response(orjson.dumps(gateway.signer.key_set), media_type="application/json")


async def _json_body(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Problem(415, "send application/json")
    data = b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                data += part
                if len(data) > _BODY_BYTES:
                    raise Problem(413, f"a body has {_BODY_BYTES} bytes at most")
    except TimeoutError:
        raise Problem(408, "the body did not come in time") from None
    except ClientDisconnect:  # nobody hears it; but it is no error of ours
        raise Problem(408, "the body did not come whole") from None
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

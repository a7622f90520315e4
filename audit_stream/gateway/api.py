"""The HTTP API: routes, and what stands around each of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from audit_stream import __version__
from audit_stream.errors import StateError
from audit_stream.gateway import schema
from audit_stream.gateway.auth import Caller, Door
from audit_stream.gateway.journal import Journal
from audit_stream.gateway.problems import MEDIA_TYPE, Problem
from audit_stream.gateway.query import Query, parse_fields, parse_pairs
from audit_stream.gateway.service import Service
from audit_stream.gateway.signing import AnswerSigner

log = logging.getLogger(__name__)
LOOK_UP = "/api/v1/audit/notifications"
SEARCH = f"{LOOK_UP}/search"
BUNDLE = "/api/v1/audit/evidence"
KEYS = "/.well-known/jwks.json"
_BODY_BYTES, _BODY_SECONDS = 16 << 10, 10.0
_HEADERS = {
    "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """What the routes use."""

    service: Service
    signer: AnswerSigner
    door: Door
    journal: Journal
    now: Callable[[], str]

    async def answer(self, request: Request, read: Callable[[], Any]) -> Response:
        """Admit, check, look up, write down, sign. `read` gives the query."""
        caller = self.door.admit(request.headers.get("authorization"))
        request.state.caller = caller.id
        caller.may("audit:read")
        query: Query = await read()
        try:
            document = await self.service.look_up(query, caller)
        except Problem as problem:
            await self._write_down(caller, query, problem.status, [])
            if problem.status in (404, 409):
                raise Problem(
                    problem.status, problem.detail, self._signed_state(problem), problem.headers
                ) from problem
            raise
        await self._write_down(caller, query, 200, _messages(document))
        return Response(self.signer.signed(document), media_type="application/json")

    async def bundle(self, request: Request, read: Callable[[], Any]) -> Response:
        """As `answer`, as an evidence bundle."""
        caller = self.door.admit(request.headers.get("authorization"))
        request.state.caller = caller.id
        caller.may("audit:export")
        query: Query = await read()
        keys = orjson.dumps(self.signer.key_set)
        try:
            data, messages = await self.service.evidence(query, caller, self.signer.signed, keys)
        except Problem as problem:
            await self._write_down(caller, query, problem.status, [], kind="export")
            raise
        await self._write_down(caller, query, 200, messages, kind="export")
        return Response(data, media_type="application/zip", headers={
            "Content-Disposition": 'attachment; filename="evidence.zip"',
        })  # fmt: skip

    def _signed_state(self, problem: Problem) -> dict[str, Any]:
        """The members of a problem, signed as a whole."""
        signed = orjson.loads(self.signer.signed(
            {**problem.document(), "verification_timestamp": self.now()}
        ))  # fmt: skip
        return {k: v for k, v in signed.items() if k not in ("type", "title", "status", "detail")}

    async def _write_down(
        self, caller: Caller, query: Query, status: int, messages: list[str], kind: str = "read"
    ) -> None:  # fmt: skip
        try:
            await self.journal.record({
                "caller": caller.id, "kind": kind, "messages": messages, "query": query.kind,
                "status": status, "time": self.now(), "v": "audit-access-entry/1",
            })  # fmt: skip
        except StateError as error:
            log.warning("%s", error)
            raise Problem(503, "the access could not be recorded, so it is not answered") from error


def _messages(document: dict[str, Any]) -> list[str]:
    found = document.get("messages", [document])
    return [each["audit_record"]["message_uuid"] for each in found]


def build_app(
    gateway: Gateway, running: Callable[[], AbstractAsyncContextManager[Any]]
) -> FastAPI:  # fmt: skip
    """The application; `running` is entered while it serves."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with running():
            yield

    app = FastAPI(
        title="audit_stream retrieval API", version=__version__, lifespan=lifespan,
        docs_url=None, redoc_url=None, openapi_url="/openapi.json",
        description="Signed, verified answers about archived notifications.",
    )  # fmt: skip
    _add_errors(app)
    _add_routes(app, gateway)
    app.middleware("http")(_around)
    return app


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

    @app.post(BUNDLE, responses=schema.BUNDLE, openapi_extra=schema.BODY)
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
        raise Problem(400, "the body did not come in time") from None
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise Problem(400, "the body must be a JSON object")
    return found


async def _around(request: Request, call_next: Any) -> Response:
    """Headers, and one line of log: no query, no body, no token."""
    began = time.monotonic()
    response: Response = await call_next(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    log.info(
        "%s %s %d %.0f ms %s", request.method, _known(request), response.status_code,
        (time.monotonic() - began) * 1000, getattr(request.state, "caller", "-"),
    )  # fmt: skip
    return response


def _known(request: Request) -> str:
    """The path, if it is one of ours: others may hold anything."""
    path = request.url.path
    return path if path in (LOOK_UP, SEARCH, BUNDLE, KEYS, "/openapi.json") else "(other)"


def _add_errors(app: FastAPI) -> None:
    async def problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return _respond(error)

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _respond(Problem(error.status_code, str(error.detail), headers=error.headers))

    async def invalid(_: Request, error: Exception) -> Response:
        return _respond(Problem(422, "the request cannot be read"))

    async def internal(_: Request, error: Exception) -> Response:
        log.error("internal error: %s", type(error).__name__)
        return _respond(Problem(500, "an internal error; the log has more"))

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, internal)


def _respond(problem: Problem) -> Response:
    return Response(
        orjson.dumps(problem.document()), status_code=problem.status, media_type=MEDIA_TYPE,
        headers={**_HEADERS, **problem.headers},
    )  # fmt: skip

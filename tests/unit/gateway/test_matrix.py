"""Who may do what: each kind of token, with each tenant and scope, at each route."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey

from audit_stream.errors import ConfigError
from audit_stream.evidence.encoding import b64u
from audit_stream.gateway.answer import BUNDLE
from audit_stream.gateway.auth import JwtRules
from audit_stream.gateway.caller import SCOPES
from audit_stream.gateway.keysets import KeyUrl, keys_at
from tests.support.asking import Asked, serving
from tests.support.certificates import HOST, identity
from tests.support.eventually import until
from tests.support.indexing import CUSTOMERS, PUBS, by_message
from tests.unit.gateway.conftest import installed, log_all

KEY = ECKey.generate_key("P-256", parameters={"kid": "k1"})
ISSUER, AUDIENCE = "https://login.example", "audit"
TENANTS = sorted({tenant for tenant, _ in by_message()})


def bearer(key: ECKey = KEY, kid: str = "k1", **claims: Any) -> str:
    whole = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "client-7", "exp": int(time.time()) + 600,
        "scope": " ".join(SCOPES), "tenants": ["*"], **claims,
    }  # fmt: skip
    return jwt.encode({"alg": "ES256", "kid": kid}, whole, key)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """A gateway that takes service tokens and JWTs."""
    folder = tmp_path_factory.mktemp("both")
    path = folder / "jwks.json"
    path.write_text(json.dumps({"keys": [KEY.as_dict(private=False)]}))
    settings = installed(folder).model_copy(update={
        "gateway_jwks": str(path), "gateway_issuer": ISSUER, "gateway_audience": AUDIENCE,
    })  # fmt: skip
    asyncio.run(log_all(settings))
    with serving(settings) as found:
        yield found


def credentials(
    asked: Asked, kind: str, tenants: tuple[str, ...], scopes: tuple[str, ...]
) -> dict[str, str]:
    if kind == "service":
        return asked.token(*tenants, scopes=scopes)
    token = bearer(tenants=list(tenants), scope=" ".join(scopes))
    return {"Authorization": f"Bearer {token}"}


ROUTES = {"GET": "audit:read", "search": "audit:read", "bundle": "audit:export"}


def ask(asked: Asked, route: str, headers: dict[str, str], **query: str) -> int:
    if route == "GET":
        return asked.get(headers, **query).status_code
    if route == "search":
        return asked.post(headers, **query).status_code
    return asked.client.post(BUNDLE, json=query, headers=headers).status_code


@pytest.mark.parametrize("kind", ["service", "jwt"])
@pytest.mark.parametrize("route", ROUTES)
def test_the_matrix(both: Asked, kind: str, route: str) -> None:
    assert len(TENANTS) > 1
    owner, message = next(iter(by_message()))
    other = next(tenant for tenant in TENANTS if tenant != owner)
    tenants = [(owner,), (other,), ("*",), (owner, other), (owner.upper(),), (owner[:-1],)]
    scopes = [(), *((scope,) for scope in SCOPES), SCOPES]
    for held, scope in itertools.product(tenants, scopes):
        headers = credentials(both, kind, held, scope)
        seen = owner in held or "*" in held
        wanted = 403 if ROUTES[route] not in scope else 200 if seen else 404
        named = {"message_uuid": message, "platform_tenant_id": owner}
        assert ask(both, route, headers, **named) == wanted, (held, scope)
        assert ask(both, route, {}, **named) == 401


def test_a_customers_pages_are_of_the_tokens_tenant(both: Asked) -> None:
    tokens = {held: both.token(held) for held in TENANTS}
    for (tenant, customer), messages in CUSTOMERS.items():
        for held, token in tokens.items():
            found = both.post(token, customer_external_id=customer, limit=100)
            theirs = CUSTOMERS.get((held, customer))
            assert found.status_code == (200 if theirs else 404)
            if theirs:
                ids = [each["audit_record"]["message_uuid"] for each in found.json()["messages"]]
                assert sorted(ids) == sorted(message for _, message in theirs)
            if held != tenant:
                named = {"customer_external_id": customer, "platform_tenant_id": tenant}
                assert both.post(token, **named).status_code == 404
        assert messages


def test_without_a_tenant_only_the_tokens_own_are_looked_at(both: Asked) -> None:
    tokens = {held: both.token(held) for held in TENANTS}
    for _, message in by_message():
        for held, token in tokens.items():
            answer = both.get(token, message_uuid=message)
            assert answer.status_code == (200 if (held, message) in by_message() else 404)
            if answer.status_code == 200:
                assert answer.json()["audit_record"]["platform_tenant_id"] == held


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "alice@corp.example"}, {"sub": "a b"}, {"sub": "a\nb"}, {"sub": 7}, {"sub": ""},
        {"sub": "x" * 129}, {"tenants": None}, {"nbf": 4_000_000_000}, {"exp": 1}, {"aud": "x"},
    ],
)  # fmt: skip
def test_jwts_that_are_not_taken(both: Asked, claims: dict[str, Any]) -> None:
    headers = {"Authorization": f"Bearer {bearer(**claims)}"}
    assert both.get(headers, message_uuid="x").status_code == 401


def test_a_jwt_of_no_algorithm_or_with_two_headers_is_not_taken(both: Asked) -> None:
    _, payload, _ = bearer().split(".")
    head = b64u(b'{"alg":"none","kid":"k1"}')
    none = f"{head}.{payload}."
    assert both.get({"Authorization": f"Bearer {none}"}, message_uuid="x").status_code == 401
    twice = [("Authorization", f"Bearer {bearer()}")] * 2
    answer = both.client.get("/api/v1/audit/notifications?message_uuid=x", headers=twice)
    assert answer.status_code == 401


def test_who_asked_is_journaled_and_not_logged(
    both: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    token = bearer(sub="client-8")
    with caplog.at_level(logging.DEBUG):
        both.get({"Authorization": f"Bearer {token}"}, message_uuid="unknown")
        until(lambda: any(" 404 " in message for message in caplog.messages))
    assert both.journal()[-1]["caller"] == "jwt:client-8"
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert "client-8" not in said
    assert token not in said


def test_a_token_file_that_is_damaged_lets_nobody_in(both: Asked) -> None:
    headers = both.token("*")
    path = both.settings.gateway_tokens
    good = path.read_bytes()
    path.write_bytes(b"{")
    try:
        assert both.get(headers, message_uuid="x").status_code == 503
    finally:
        path.write_bytes(good)
    assert both.get(headers, message_uuid=PUBS[0]["message_uuid"]).status_code in (200, 400)


@asynccontextmanager
async def issuer(folder: Path, keys: list[ECKey]) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    """An https server with a key set that the test changes, and a context that trusts it."""
    made = identity(folder, "issuer")

    async def answer(_: web.Request) -> web.Response:
        if not keys:
            return web.Response(status=500)
        return web.json_response({"keys": [key.as_dict(private=False) for key in keys]})

    async def large(request: web.Request) -> web.Response:
        return web.Response(body=bytes((await answer(request)).body) + b" " * (1 << 18))

    async def moved(_: web.Request) -> web.Response:
        raise web.HTTPFound("/keys")

    async def slow(request: web.Request) -> web.Response:
        await ended.wait()
        return await answer(request)

    ended, app = asyncio.Event(), web.Application()
    app.router.add_get("/keys", answer)
    app.router.add_get("/moved", moved)
    app.router.add_get("/large", large)
    app.router.add_get("/slow", slow)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(made.bundle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0, ssl_context=served)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"https://{HOST}:{port}/keys", ssl.create_default_context(cafile=made.certificate)
    finally:
        ended.set()
        await runner.cleanup()


async def test_keys_are_fetched_kept_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    newer, keys = ECKey.generate_key("P-256", parameters={"kid": "k2"}), [KEY]
    async with issuer(tmp_path, keys) as (url, trust):
        source = KeyUrl(url, trust)
        rules = JwtRules(keys=source, issuer=ISSUER, audience=AUDIENCE)
        now = time.time()
        assert rules.caller(bearer(), now) is None  # not fetched yet
        async with source.kept_fresh():
            assert rules.caller(bearer(), now) is not None
            keys[:] = [KEY, newer]
            assert rules.caller(bearer(newer, "k2"), now) is None
            await source.refresh()  # as it is after a miss, a little later
            assert rules.caller(bearer(newer, "k2"), now) is not None
            keys.clear()
            await source.refresh()
            assert rules.caller(bearer(newer, "k2"), now) is not None  # the last ones count
        assert url not in caplog.text
        assert url not in repr(source)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/keys", "ClientConnectorCertificateError"), ("/moved", "ValueError"),
        ("/large", "ValueError"), ("/slow", "TimeoutError"), ("/gone", "ValueError"),
    ],
)  # fmt: skip
async def test_keys_are_not_taken_from_just_anywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
    path: str, said: str,
) -> None:  # fmt: skip
    async with issuer(tmp_path, [KEY]) as (url, trust):
        source = KeyUrl(url, trust)
        await source.refresh()
        assert len(source.now().keys) == 1
        if path == "/slow":
            monkeypatch.setattr("audit_stream.gateway.keysets._ASK_SECONDS", 0.2)
        other = KeyUrl(url.replace("/keys", path), None if path == "/keys" else trust)
        await other.refresh()
        assert not other.now()
        assert caplog.messages == [f"the issuer's keys could not be fetched: {said}"]


async def test_a_missed_key_makes_it_ask_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_stream.gateway.keysets._SPACING_SECONDS", 0.05)
    newer, keys = ECKey.generate_key("P-256", parameters={"kid": "k2"}), [KEY]
    async with issuer(tmp_path, keys) as (url, trust):
        source = KeyUrl(url, trust)
        rules = JwtRules(keys=source, issuer=ISSUER, audience=AUDIENCE)
        async with source.kept_fresh():
            keys.append(newer)
            deadline = time.monotonic() + 20
            while rules.caller(bearer(newer, "k2"), time.time()) is None:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)


def test_keys_that_come_over_http_or_are_secrets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="anybody's"):
        keys_at("http://login.example/keys")
    path = tmp_path / "secret.json"
    path.write_text(json.dumps({"keys": [{"kty": "oct", "k": "AAAA"}]}))
    with pytest.raises(ConfigError, match="cannot be used"):
        keys_at(str(path))

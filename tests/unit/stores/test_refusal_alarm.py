"""A refused put: the breaker opens at once, and its alarm says what to do about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from audit_stream.stores.azure import AzureStore
from audit_stream.stores.azure_target import AzureAccess, AzureTarget
from audit_stream.stores.breaker import CircuitBreaker
from audit_stream.stores.clock import SystemClock
from audit_stream.stores.retry import ResilientStore
from tests.support.alerts import RecordedAlerts
from tests.support.eventually import eventually

KEY = "c2VjcmV0LWtleQ=="


@asynccontextmanager
async def refusing(status: int, *headers: str) -> AsyncIterator[str]:
    """The URL of a server that answers whatever it is asked with a status."""
    lines = [f"HTTP/1.1 {status} No", *headers, "Content-Length: 0", "Connection: close", "", ""]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write("\r\n".join(lines).encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/acct"
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("status", "headers", "hint"),
    [
        (401, ("x-ms-error-code: InvalidAuthenticationInfo",), "check the identity's role"),
        (403, ("x-ms-error-code: AuthorizationFailure",), "the account's network rules"),
        (403, (), "a proxy or a firewall's SNI list refused"),
        (407, (), "the proxy wants a login: check HTTPS_PROXY and NO_PROXY"),
    ],
)
async def test_the_alarm_of_a_refusal_has_its_hint(
    status: int, headers: tuple[str, ...], hint: str
) -> None:
    alerts, clock = RecordedAlerts(), SystemClock()
    breaker = CircuitBreaker("archive", clock=clock, alerts=alerts)
    async with refusing(status, *headers) as url:
        access = AzureAccess(endpoint=url, key=KEY)
        at = AzureTarget(account="acct", container="arch", access=access)
        store = ResilientStore(AzureStore(at), breaker, clock=clock)
        put = asyncio.create_task(store.put_if_absent("a/b", b"body", {}))

        async def opened() -> bool:
            return not breaker.is_closed

        await eventually(opened)
        assert not put.done()  # it waits: credentials get mended
        put.cancel()
        await store.close()
    assert alerts.events == [("raise", "breaker:archive")]
    assert hint in alerts.summaries[0]
    assert "archive is failing" in alerts.summaries[0]

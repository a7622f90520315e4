"""The receiver over real HTTP and TLS: what an answer costs, who gets the token, what is said."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from audit_stream.delivery.endpoint import LONGEST, Endpoint, HttpDelivery
from audit_stream.delivery.outcome import MOST_ANSWER
from audit_stream.delivery.token import FileToken, StaticToken, is_token
from audit_stream.errors import StoreError, StoreRefused, StoreTransient
from audit_stream.ports import Receipt, Rejected
from audit_stream.stores.clock import SystemClock
from audit_stream.telemetry.webhook import tls_context
from tests.support.certificates import HOST, identity

TOKEN = "s3cr3t-token"
PATH = "/hush/notifications"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    def __init__(self, **routes: Handler) -> None:
        self.seen: list[web.Request] = []
        self.routes, self.port = routes, 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        return await self.routes[request.method.lower()](request)


@asynccontextmanager
async def serving(server: Server, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    server.port = runner.addresses[0][1]
    yield server
    await runner.cleanup()


@asynccontextmanager
async def delivering(
    server: Server, *, scheme: str = "http", token: object = None, ca_file: object = None,
    **options: object,
) -> AsyncIterator[HttpDelivery]:  # fmt: skip
    url = f"{scheme}://{HOST}:{server.port}{PATH}?tenant=hush"
    made = HttpDelivery(
        Endpoint(name="siem", **{"url": url, "synchronous": True, **options}),  # type: ignore[arg-type]
        token or StaticToken(TOKEN), tls_context(ca_file), clock=SystemClock(), now=time.time,  # type: ignore[arg-type]
    )  # fmt: skip
    yield made
    await made.close()


def answers(status: int, body: bytes = b"", **headers: str) -> Handler:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=named)

    return handle


def in_turn(*handlers: Handler) -> Handler:
    left = list(handlers)

    async def handle(request: web.Request) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request)

    return handle


async def test_a_post_has_the_headers_of_the_protocol() -> None:
    async with serving(Server(post=answers(201))) as server, delivering(server) as target:
        assert isinstance(await target.deliver(b'{"a":1}', "m:READ"), Receipt)
        [request] = server.seen
        assert request.headers["Content-Type"] == "application/json"
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        assert request.headers["X-Idempotency-Key"] == "m:READ"
        assert request.path == PATH


async def test_a_redirect_is_not_followed_and_carries_no_token() -> None:
    async with (
        serving(Server(post=answers(201), get=answers(200))) as elsewhere,
        serving(Server(post=answers(307, Location=f"http://{HOST}:{elsewhere.port}/"))) as server,
        delivering(server) as target,
    ):
        with pytest.raises(StoreRefused, match="redirect"):
            await target.deliver(b"{}", "k")
        assert elsewhere.seen == []


async def test_a_status_elsewhere_is_not_asked() -> None:
    async with (
        serving(Server(get=answers(200))) as elsewhere,
        serving(Server(post=answers(202, Location=f"http://{HOST}:{elsewhere.port}/j"))) as server,
        delivering(server) as target,
    ):
        with pytest.raises(StoreRefused, match="another origin"):
            await target.deliver(b"{}", "k")
        assert elsewhere.seen == []


async def test_a_status_is_asked_until_it_is_final() -> None:
    status = in_turn(
        answers(202, Retry_After="0"), answers(503, Retry_After="0"),
        answers(200, b'{"status":"running"}', Retry_After="0"),
        answers(200, b'{"status":"stored"}'),
    )  # fmt: skip
    async with (
        serving(Server(post=answers(202, Location="/j/1", Retry_After="0"), get=status)) as server,
        delivering(server, synchronous=False) as target,
    ):
        found = await target.deliver(b"{}", "k")
        assert isinstance(found, Receipt)
        assert found.said == "HTTP 200, stored, /j/1"
        assert [each.method for each in server.seen] == ["POST", *["GET"] * 4]
        assert {each.headers["Authorization"] for each in server.seen} == {f"Bearer {TOKEN}"}


async def test_a_status_that_comes_to_no_end_is_no_receipt() -> None:
    never = answers(200, b'{"status":"pending"}', Retry_After="0")
    async with (
        serving(Server(post=answers(202, Location="/j/1"), get=never)) as server,
        delivering(server, poll_limit=1.0) as target,
    ):
        with pytest.raises(StoreTransient, match="no end"):
            await target.deliver(b"{}", "k")


@pytest.mark.parametrize("wait", ["60", "3600"])
async def test_a_status_is_looked_at_before_its_time_is_over_however_long_it_says(wait) -> None:
    post = answers(202, Location="/j/1", Retry_After=wait)
    done = answers(200, b'{"status":"stored"}')
    async with (
        serving(Server(post=post, get=done)) as server,
        delivering(server, poll_limit=0.3) as target,
    ):
        assert isinstance(await target.deliver(b"{}", "k"), Receipt)
        assert [each.method for each in server.seen] == ["POST", "GET"]


async def test_a_status_that_asks_for_patience_does_not_hold_up_other_posts() -> None:
    later = answers(202, Location="/j/1", Retry_After="600")
    async with (
        serving(Server(post=later, get=later)) as server,
        delivering(server, poll_limit=0.3) as target,
    ):
        with pytest.raises(StoreTransient, match="no end") as failure:
            await target.deliver(b"{}", "k")
        assert failure.value.retry_after is None


async def test_a_huge_answer_is_cut() -> None:
    async with (
        serving(Server(post=answers(422, b"x" * 50 * LONGEST))) as server,
        delivering(server) as target,
    ):
        found = await target.deliver(b"{}", "k")
        assert isinstance(found, Rejected)
        assert found.answer == "x" * len(found.answer)
        assert len(found.answer) <= MOST_ANSWER
        assert isinstance(await target.deliver(b"{}", "k"), Rejected)  # the session is of use still


async def test_a_receiver_that_does_not_answer_in_time_may_have_stored() -> None:
    async def hangs(_: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    async with (
        serving(Server(post=hangs)) as server,
        delivering(server, request_limit=0.3) as target,
    ):
        with pytest.raises(StoreTransient):
            await target.deliver(b"{}", "k")


async def test_no_message_repeats_url_token_or_record() -> None:
    said = []
    for status in (200, 202, 301, 401, 403, 407, 418, 429, 500):
        async with (
            serving(Server(post=answers(status, b"CUST_99281"))) as server,
            delivering(server, synchronous=False) as target,
        ):
            try:
                found = await target.deliver(b'{"secret":"CUST_99281"}', "k")
                said.append(repr(found))
            except StoreError as error:
                said += [str(error), repr(error)]
    server = Server()
    server.port = 1
    async with delivering(server) as target:
        with pytest.raises(StoreTransient) as caught:
            await target.deliver(b"{}", "k")
        said.append(str(caught.value))
        assert caught.value.__cause__ is None
    assert not any(word in text for text in said for word in (TOKEN, "hush", "CUST_99281"))


async def test_tls_is_of_an_authority_that_is_trusted(tmp_path) -> None:
    known = identity(tmp_path, "siem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(known.bundle)
    async with serving(Server(post=answers(201)), tls) as server:
        async with delivering(server, scheme="https", ca_file=known.certificate) as target:
            assert isinstance(await target.deliver(b"{}", "k"), Receipt)
        async with delivering(server, scheme="https") as stranger:
            with pytest.raises(StoreRefused, match="certificate") as caught:
                await stranger.deliver(b"{}", "k")
            assert "AUDIT_DELIVERY_CA_FILE" in caught.value.hint


async def test_a_token_file_is_read_again_when_it_changes_and_when_it_is_refused(tmp_path) -> None:
    file, now = tmp_path / "token", "one"

    async def checked(request: web.Request) -> web.Response:
        good = request.headers["Authorization"] == f"Bearer {now}"
        return web.Response(status=201 if good else 401)

    async with (
        serving(Server(post=checked)) as server,
        delivering(server, token=FileToken(file)) as target,
    ):
        with pytest.raises(StoreRefused, match="cannot read"):
            await target.deliver(b"{}", "k")
        file.write_text("one\n")
        assert isinstance(await target.deliver(b"{}", "k"), Receipt)
        now = "two"
        with pytest.raises(StoreRefused, match="401"):
            await target.deliver(b"{}", "k")
        file.write_text("two\n")
        assert isinstance(await target.deliver(b"{}", "k"), Receipt)
        for junk in ("", "a\r\nX-Evil: 1", "zwei wörter"):
            file.write_text(junk)
            with pytest.raises(StoreRefused, match="no bearer token"):
                await target.deliver(b"{}", "k")


@pytest.mark.parametrize(("text", "fits"), [
    ("abc.DEF-1_2~+/=", True), ("", False), ("a b", False), ("a\nb", False), ("é", False),
])  # fmt: skip
def test_what_a_token_looks_like(text: str, fits: bool) -> None:
    assert is_token(text) == fits


async def test_logins_of_other_programs_are_left_alone(tmp_path, monkeypatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with serving(Server(post=answers(201))) as server, delivering(server) as target:
        assert isinstance(await target.deliver(b"{}", "k"), Receipt)
        assert server.seen[0].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_the_environments_proxy_is_used_unless_the_host_is_left_out(monkeypatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    host = "0.0.0.0"  # this machine, and no loopback address
    async with (
        serving(Server(post=answers(201))) as proxy,
        serving(Server(post=answers(201))) as server,
    ):
        url = f"http://{host}:{server.port}/"
        monkeypatch.setenv("http_proxy", f"http://{HOST}:{proxy.port}")
        async with delivering(server, url=url) as target:
            assert isinstance(await target.deliver(b"{}", "k"), Receipt)
        assert (len(proxy.seen), len(server.seen)) == (1, 0)
        monkeypatch.setenv("no_proxy", host)
        async with delivering(server, url=url) as target:
            assert isinstance(await target.deliver(b"{}", "k"), Receipt)
        assert (len(proxy.seen), len(server.seen)) == (1, 1)


async def test_a_token_without_tls_does_not_leave_this_machine_for_a_proxy(monkeypatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with (
        serving(Server(post=answers(201))) as proxy,
        serving(Server(post=answers(201))) as server,
    ):
        monkeypatch.setenv("http_proxy", f"http://{HOST}:{proxy.port}")
        async with delivering(server) as target:
            assert isinstance(await target.deliver(b"{}", "k"), Receipt)
        assert (len(proxy.seen), len(server.seen)) == (0, 1)

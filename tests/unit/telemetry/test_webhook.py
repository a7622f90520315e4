"""The webhook over real sockets: every answer, TLS, proxies, and that its URL is never told."""

from __future__ import annotations

import logging
import queue
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit_stream.errors import AlertError, AlertRefused, ConfigError
from audit_stream.telemetry import webhook as posting
from audit_stream.telemetry.alarm import Alarm
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.outbox import Outbox, Patience
from audit_stream.telemetry.webhook import Webhook, tls_context
from tests.support.certificates import Identity, identity
from tests.support.receiver import LIMIT_SECONDS, Proxy, Receiver, answer, receiving, server_tls

ALARM = Alarm(
    key="breaker:archive", state="open", severity="critical", summary="down", worker="w", at=0.0
)
SECRET = "hunter2-in-the-path"
QUICK = Patience(first_delay=0.01, max_delay=0.05, jitter=0.0, limit=LIMIT_SECONDS)


def webhook(url: str, ca_file: Path | None = None) -> Webhook:
    return Webhook(lambda: url, Alarm.document, tls_context(ca_file))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own environment."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return identity(tmp_path_factory.mktemp("tls"), "receiver")


@pytest.fixture
def secure(server: Identity) -> Iterator[Receiver]:
    receiver = Receiver(tls=server_tls(server.bundle))
    yield receiver
    receiver.close()


async def test_an_alarm_is_one_json_post() -> None:
    with receiving() as receiver:
        await webhook(receiver.url)(ALARM)
        post = receiver.posts.get_nowait()
    assert (post.path, post.kind, post.body) == ("/alarms", "application/json", ALARM.document())


@pytest.mark.parametrize("status", [200, 201, 202, 204])  # PagerDuty and Teams say 202
async def test_any_2xx_is_accepted(status: int) -> None:
    with receiving(answer(status)) as receiver:
        await webhook(receiver.url)(ALARM)
    assert receiver.posts.qsize() == 1


@pytest.mark.parametrize(
    "reply",
    [answer(500), answer(502), answer(503), answer(408), answer(429), b"no HTTP\r\n\r\n", b""],
    ids=["500", "502", "503", "408", "429", "garbage", "nothing"],
)
async def test_what_may_pass_is_told_apart(reply: bytes) -> None:
    with receiving(reply) as receiver:
        with pytest.raises(AlertError) as caught:
            await webhook(receiver.url)(ALARM)
        assert not isinstance(caught.value, AlertRefused)
        await webhook(receiver.url)(ALARM)
    assert receiver.posts.qsize() == 2  # none was repeated by the client itself


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (400, "AUDIT_ALERT_SHAPE"),
        (401, "AUDIT_ALERT_WEBHOOK"),
        (403, "AUDIT_ALERT_WEBHOOK"),
        (404, "AUDIT_ALERT_WEBHOOK"),
        (410, "AUDIT_ALERT_WEBHOOK"),
        (407, "HTTPS_PROXY"),
    ],
)
async def test_a_refusal_says_where_to_look(status: int, hint: str) -> None:
    with receiving(answer(status)) as receiver, pytest.raises(AlertRefused) as caught:
        await webhook(receiver.url)(ALARM)
    assert f"HTTP {status}" in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(status: int) -> None:
    with receiving() as other:
        reply = answer(status, f"Location: {other.url}")
        with receiving(reply) as receiver, pytest.raises(AlertRefused, match="redirects"):
            await webhook(receiver.url)(ALARM)
        assert other.posts.qsize() == 0


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("", None)]
)
async def test_retry_after_is_read(header: str, seconds: float | None) -> None:
    with (
        receiving(answer(429, f"Retry-After: {header}")) as receiver,
        pytest.raises(AlertError) as caught,
    ):
        await webhook(receiver.url)(ALARM)
    assert caught.value.retry_after == seconds


async def test_a_receiver_that_never_answers_costs_a_limited_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(posting, "_TIMEOUT", posting.aiohttp.ClientTimeout(total=0.2))
    with socket.socket() as deaf:  # takes the connection, never answers
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        with pytest.raises(AlertError, match="not reached"):
            await webhook(f"http://127.0.0.1:{deaf.getsockname()[1]}/{SECRET}")(ALARM)


# -- TLS


async def test_the_authorities_of_a_file_are_trusted(secure: Receiver, server: Identity) -> None:
    await webhook(secure.url, server.certificate)(ALARM)
    assert secure.taken() == [ALARM.document()]


async def test_a_strangers_certificate_is_refused_with_what_to_set(secure: Receiver) -> None:
    with pytest.raises(AlertError, match="AUDIT_ALERT_CA_FILE"):
        await webhook(secure.url)(ALARM)
    assert secure.posts.qsize() == 0


async def test_the_host_name_is_checked(secure: Receiver, server: Identity) -> None:
    url = secure.url.replace("127.0.0.1", "localhost")  # the certificate is for the address
    with pytest.raises(AlertError, match="AUDIT_ALERT_CA_FILE"):
        await webhook(url, server.certificate)(ALARM)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_tls_below_1_2_is_not_spoken(server: Identity) -> None:
    receiver = Receiver(tls=server_tls(server.bundle, newest=ssl.TLSVersion.TLSv1_1))
    lax = tls_context(server.certificate)
    lax.minimum_version = ssl.TLSVersion.TLSv1_1
    lax.set_ciphers("ALL:@SECLEVEL=0")
    try:
        with pytest.raises(AlertError, match="not reached"):
            await webhook(receiver.url, server.certificate)(ALARM)
        await Webhook(lambda: receiver.url, Alarm.document, lax)(ALARM)  # it is not the server
    finally:
        receiver.close()


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_authorities_that_cannot_be_loaded_are_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match="AUDIT_ALERT_CA_FILE"):
        tls_context(path)


# -- proxies


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    found = Proxy()
    yield found
    found.close()


async def test_the_environments_proxy_is_used(
    proxy: Proxy, secure: Receiver, server: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    await webhook(secure.url, server.certificate)(ALARM)
    assert proxy.asked == [f"127.0.0.1:{secure.port}"]
    assert secure.taken() == [ALARM.document()]


async def test_hosts_without_a_proxy_are_reached_directly(
    proxy: Proxy, secure: Receiver, server: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    await webhook(secure.url, server.certificate)(ALARM)
    assert proxy.asked == []
    assert secure.posts.qsize() == 1


@pytest.mark.parametrize(("status", "hint"), [(407, "the proxy wants a login"), (403, "refuses")])
async def test_a_proxy_that_refuses_is_named(
    proxy: Proxy, secure: Receiver, monkeypatch: pytest.MonkeyPatch, status: int, hint: str
) -> None:
    proxy.refuse = status
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(AlertRefused, match=f"the proxy before the webhook .* {status}") as caught:
        await webhook(secure.url)(ALARM)
    assert hint in caught.value.hint


async def test_a_proxy_that_is_away_may_come_back(
    secure: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Proxy()
    gone.close()
    monkeypatch.setenv("HTTPS_PROXY", gone.url)
    with pytest.raises(AlertError, match="HTTPS_PROXY"):
        await webhook(secure.url)(ALARM)


# -- with its outbox


def test_an_opening_that_was_retried_comes_before_its_closing() -> None:
    with receiving(answer(503), b"", answer(429)) as receiver:
        board = AlarmBoard("w", Outbox("webhook", webhook(receiver.url), QUICK))
        board.raise_alarm("breaker:archive", "down")
        board.close_alarm("breaker:archive", "up")
        states = [post["state"] for post in receiver.take(5)]
    assert states == ["open", "open", "open", "open", "closed"]


def test_a_closing_is_told_though_its_opening_was_refused() -> None:
    with receiving(answer(400)) as receiver:
        board = AlarmBoard("w", Outbox("webhook", webhook(receiver.url), QUICK))
        board.raise_alarm("breaker:archive", "down")
        board.close_alarm("breaker:archive", "up")
        assert [post["state"] for post in receiver.take(2)] == ["open", "closed"]


# -- secrets


@pytest.mark.parametrize("kind", ["away", "refused", "TLS", "proxy", "no URL"])
def test_the_url_is_in_no_log_whatever_goes_wrong(
    kind: str, secure: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    secured = secure.url.replace("/alarms", f"/{SECRET}")
    gone = Receiver()
    gone.close()
    with receiving(answer(403)) as refusing, socket.socket():
        urls = {
            "away": f"{gone.url}/{SECRET}", "refused": f"{refusing.url}/{SECRET}",
            "TLS": secured, "proxy": secured, "no URL": f"http://[{SECRET}/",
        }  # fmt: skip
        if kind == "proxy":
            monkeypatch.setenv("HTTPS_PROXY", gone.url.replace("http://", f"http://u:{SECRET}@"))
        logged = said_by(urls[kind])
    assert "not told by webhook" in logged
    assert SECRET not in logged


def said_by(url: str) -> str:
    """Everything any logger says, tracebacks included, while an alarm cannot be posted."""
    lines: queue.Queue[str] = queue.Queue()

    class Noticing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.put(self.format(record))

    handler = Noticing()
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        board = AlarmBoard("w", Outbox("webhook", webhook(url)))
        board.raise_alarm("breaker:archive", "down")
        board.flush(LIMIT_SECONDS)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    return "\n".join(list(lines.queue))


def test_a_webhook_shows_nothing_of_itself() -> None:
    shown: Any = webhook(f"https://example.org/{SECRET}")
    assert SECRET not in f"{shown!r} {shown}"

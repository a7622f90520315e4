"""What strangers may cost: slow, large, many, and no HTTP at all, over real sockets."""

from __future__ import annotations

import json
import logging
import os
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_stream.app import gateway_server
from audit_stream.app.gateway_server import GatewayServer
from audit_stream.errors import ConfigError
from audit_stream.gateway import loop, protocol
from audit_stream.gateway.around import HEAD_BYTES
from audit_stream.kafka.embedded import free_ports
from tests.support.asking import Asked, serving
from tests.support.certificates import identity
from tests.support.eventually import until
from tests.support.raw_http import Said, answers, connect, exchange, heard, trickle
from tests.unit.gateway.conftest import installed

SEARCH = b"/api/v1/audit/notifications/search"
#: A few hundred where all is run; by hand as many as you like.
MALFORMED = int(os.environ.get("AUDIT_TEST_MALFORMED", "300"))
LIMITS = (HEAD_BYTES, protocol.REQUEST_SECONDS, protocol.MOST_CONNECTIONS)
QUICK = 1.0  # seconds that stand for the fifteen


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """A gateway that gives requests a second, and has room for eight connections."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "REQUEST_SECONDS", QUICK)
        patch.setattr(protocol, "UNREAD_SECONDS", QUICK / 2)
        patch.setattr(protocol, "LAST_SECONDS", QUICK)
        patch.setattr(protocol, "MOST_CONNECTIONS", 8)
        with serving(installed(tmp_path_factory.mktemp("hurried"))) as found:
            yield found


def only(data: bytes) -> Said:
    (said,) = answers(data)
    return said


def head(method: bytes, path: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join([method + b" " + path + b" HTTP/1.1", b"Host: x", *lines, b"", b""])


def send_for_ever(connection: socket.socket, data: bytes) -> None:
    began = time.monotonic()
    while time.monotonic() - began < 20:
        connection.sendall(data)


def test_the_limits_are_what_the_documentation_says() -> None:
    text = Path("docs/how-to/ask-the-gateway.md").read_text("utf-8")
    assert "16 KiB" in text
    assert "15 seconds" in text
    assert "256 connections" in text
    assert "10 seconds for a TLS handshake" in text
    assert LIMITS == (16 << 10, 15.0, 256)
    assert loop.HANDSHAKE_SECONDS == 10.0


@pytest.mark.parametrize(
    "data",
    [b"", b"GET / HT", head(b"GET", b"/")[:-2], head(b"POST", SEARCH, b"Content-Length: 9") + b"{"],
    ids=["silence", "line", "head", "body"],
)
def test_who_says_nothing_more_is_let_go(hurried: Asked, data: bytes) -> None:
    began = time.monotonic()
    said = exchange(hurried.url, data, ended=False)
    assert QUICK * 0.4 <= time.monotonic() - began < QUICK * 4 + 5
    if not data:
        assert said == b""
    elif data.endswith(b"{"):  # no token: that is said at once
        assert only(said).status == 401
    else:
        assert only(said).status == 408
        assert only(said).headers["content-type"] == "application/problem+json"


def test_a_tls_handshake_that_does_not_come_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = identity(tmp_path, "gateway")
    tls = {"gateway_tls_cert": made.certificate, "gateway_tls_key": made.bundle}
    monkeypatch.setattr(loop, "HANDSHAKE_SECONDS", QUICK / 2)
    with serving(installed(tmp_path).model_copy(update=tls)) as asked:
        trust = ssl.create_default_context(cafile=made.certificate)
        place = asked.url.replace("http://", "https://")
        assert httpx.get(f"{place}/.well-known/jwks.json", verify=trust).status_code == 200
        for data in (b"", b"\x16\x03\x01\x02\x00\x01"):
            began = time.monotonic()
            assert exchange(asked.url, data, ended=False) == b""
            assert time.monotonic() - began < QUICK * 4 + 5


def test_a_certificate_that_is_replaced_is_shown_to_who_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a pair changes nothing: whoever renews it writes two files."""
    one, two = identity(tmp_path, "one"), identity(tmp_path, "two")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(one.certificate.read_bytes())
    key.write_bytes(one.bundle.read_bytes())
    monkeypatch.setattr(gateway_server, "RENEW_SECONDS", 0.05)
    port = free_ports(1)[0]
    tls = {"gateway_tls_cert": cert, "gateway_tls_key": key, "web_port": port}
    with serving(installed(tmp_path).model_copy(update=tls)) as asked:

        def shown() -> str:
            host, port = urlsplit(asked.url).hostname, urlsplit(asked.url).port
            return ssl.get_server_certificate((str(host), port or 0))

        def alarmed() -> bool:
            return "gateway:certificate" in httpx.get(f"http://127.0.0.1:{port}/alarms").text

        assert shown().strip() == one.certificate.read_text().strip()
        cert.write_bytes(two.certificate.read_bytes())
        until(alarmed)
        assert shown().strip() == one.certificate.read_text().strip()
        key.write_bytes(two.bundle.read_bytes())
        until(lambda: shown().strip() == two.certificate.read_text().strip())
        until(lambda: not alarmed())


@pytest.mark.parametrize("written", [None, b"no certificate"])
def test_files_that_are_no_certificate_are_a_wrong_setting(
    tmp_path: Path, written: bytes | None
) -> None:
    cert = tmp_path / "cert.pem"
    if written is not None:
        cert.write_bytes(written)
    tls = {"gateway_tls_cert": cert, "gateway_tls_key": cert}
    with pytest.raises(ConfigError, match="AUDIT_GATEWAY_TLS_CERT, AUDIT_GATEWAY_TLS_KEY: "):
        GatewayServer(installed(tmp_path).model_copy(update=tls))


def test_a_head_that_trickles_in_is_cut_off(hurried: Asked) -> None:
    with connect(hurried.url) as connection:
        lasted = trickle(connection, head(b"GET", b"/", b"X: " + b"x" * 10_000), 0.02, 20)
    assert lasted < QUICK * 4 + 5


def test_a_body_that_trickles_in_is_cut_off(hurried: Asked) -> None:
    for token in (hurried.token()["Authorization"], "Bearer none"):
        with connect(hurried.url) as connection:
            connection.sendall(head(
                b"POST", SEARCH, b"Content-Length: 9000", b"Content-Type: application/json",
                b"Authorization: " + token.encode(),
            ))  # fmt: skip
            lasted = trickle(connection, b"{" * 9000, 0.02, 20)
        assert lasted < QUICK * 4 + 5


def test_who_hangs_up_in_the_body_is_no_error_of_ours(
    hurried: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    token = b"Authorization: " + hurried.token()["Authorization"].encode()
    sent = head(b"POST", SEARCH, b"Content-Length: 9", b"Content-Type: application/json", token)
    with caplog.at_level(logging.INFO):
        with connect(hurried.url) as connection:
            connection.sendall(sent + b"{")
        until(lambda: any("/search 408 " in message for message in caplog.messages))
    assert "internal error" not in caplog.text


def test_a_body_that_a_look_up_does_not_want_is_not_swallowed_for_long(
    hurried: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 18.0)
    with connect(hurried.url) as connection:
        connection.sendall(
            head(b"GET", b"/.well-known/jwks.json", b"Content-Length: 9" + b"0" * 15)
        )
        began = time.monotonic()
        with pytest.raises((ConnectionError, TimeoutError)):
            send_for_ever(connection, b"x" * 65536)
        assert time.monotonic() - began < QUICK * 4 + 5


def test_who_takes_no_answer_does_not_hold_a_place_for_ever(hurried: Asked) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 10)
        host, _, port = hurried.url.removeprefix("http://").partition(":")
        connection.connect((host, int(port)))
        connection.settimeout(20)
        began = time.monotonic()
        with pytest.raises((ConnectionError, TimeoutError)):  # pipelined, and never read
            send_for_ever(connection, head(b"GET", b"/openapi.json") * 100)
        assert time.monotonic() - began < 19
    assert hurried.client.get("/.well-known/jwks.json").status_code == 200


def test_a_head_beyond_its_size_is_431(hurried: Asked) -> None:
    for data in (head(b"GET", b"/?" + b"x" * 20_000, b"Connection: close"),
                 head(b"GET", b"/", b"Connection: close", b"X: " + b"x" * 20_000),
                 b"x" * 40_000):  # fmt: skip
        said = only(exchange(hurried.url, data, ended=False))
        assert said.status == 431
        assert json.loads(said.body)["status"] == 431


def test_a_large_body_is_refused_before_it_is_read(hurried: Asked) -> None:
    token = hurried.token()["Authorization"].encode()
    lines = (b"Authorization: " + token, b"Content-Type: application/json")
    chunks = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    for more, body in ((b"Content-Length: 999999999", b"x" * 200_000),
                       (b"Transfer-Encoding: chunked", chunks * 8)):  # fmt: skip
        said = exchange(hurried.url, head(b"POST", SEARCH, *lines, more), body, ended=False)
        assert only(said).status == 413


def test_connections_beyond_the_limit_are_told_so_and_room_comes_back(
    hurried: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 60.0)  # nobody is let go meanwhile
    hurried.client.close()
    held = [connect(hurried.url) for _ in range(8)]
    try:
        said = only(exchange(hurried.url, head(b"GET", b"/.well-known/jwks.json")))
        assert (said.status, said.headers["retry-after"]) == (503, "1")
        assert said.headers["content-type"] == "application/problem+json"
        held += [connect(hurried.url) for _ in range(12)]
        assert heard(held[-1]) == b""  # beyond twice the limit, without being asked
    finally:
        for each in held:
            each.close()
    hurried.reconnect()
    deadline = time.monotonic() + 20
    while hurried.client.get("/.well-known/jwks.json").status_code != 200:
        assert time.monotonic() < deadline


def test_pipelined_requests_are_answered_in_turn(asked: Asked) -> None:
    one = head(b"GET", b"/.well-known/jwks.json")
    said = answers(exchange(asked.url, one * 3 + b"nonsense\r\n\r\n"))
    assert [each.status for each in said] == [200, 200, 200, 400]


def test_an_upgrade_is_nothing_special(asked: Asked) -> None:
    lines = (b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
             b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")  # fmt: skip
    said = exchange(asked.url, head(b"GET", b"/.well-known/jwks.json", *lines))
    assert only(said).status == 200


TOKENS = st.sampled_from([b"GET", b"POST", b"TRACE", b"OPTIONS", b"PUT", b"get", b"\x00", b"G T"])
PATHS = st.one_of(
    st.sampled_from([SEARCH, b"/api/v1/audit/notifications", b"/api/v1/audit/evidence", b"*", b"",
                     b"/.well-known/jwks.json", b"http://x/", b"/../../etc/passwd", b"/%00"]),
    st.binary(max_size=60),
    st.binary(max_size=60).map(lambda data: b"/api/v1/audit/notifications?" + data),
)  # fmt: skip
LINES = st.one_of(
    st.sampled_from([
        b"Host: y", b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 99999999999999",
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Expect: 100-continue",
        b"Content-Type: application/json", b"Authorization: Bearer", b"Authorization: Bearer \xff",
        b"Authorization: Bearer a.b.c", b"Connection: close", b" folded", b"no colon",
        b"Cookie: a=b", b"Accept: \x00", b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings",
    ]),
    st.binary(max_size=60),
)  # fmt: skip
REQUESTS = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda method, path, version, lines, body: (
            b"\r\n".join([method + b" " + path + b" " + version, *lines, b"", body])
        ),
        TOKENS, PATHS, st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"http", b""]),
        st.lists(LINES, max_size=5), st.binary(max_size=80),
    ),
)  # fmt: skip


@settings(
    max_examples=MALFORMED, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(data=st.data())
def test_whatever_comes_gets_an_answer_that_is_one(asked: Asked, data: st.DataObject) -> None:
    token = asked.token_line
    sent = data.draw(REQUESTS)
    if data.draw(st.booleans()):
        sent = sent.replace(b"Authorization: Bearer a.b.c", token)
    for said in answers(exchange(asked.url, sent)):
        assert 200 <= said.status < 500
        assert "server" not in said.headers
        if said.status >= 400 and said.body:
            assert said.headers["content-type"] == "application/problem+json"
            assert json.loads(said.body)["status"] == said.status


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["message_uuid", "customer_external_id", "carrier_message_id", "platform_tenant_id", "cursor",
     "limit", "from", ""]
)  # fmt: skip


@settings(
    max_examples=MALFORMED, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(body=st.dictionaries(NAMES, JSON, max_size=4), query=st.dictionaries(NAMES, st.text()))
def test_whatever_is_asked_with_a_good_token_is_answered(
    asked: Asked, body: dict[str, object], query: dict[str, str]
) -> None:
    headers = {"Authorization": asked.token_line.partition(b": ")[2].decode()}
    content = json.dumps(body).encode("utf-8", "surrogatepass")
    kind = {"Content-Type": "application/json"}
    encodable = {k: v.encode("utf-8", "surrogatepass") for k, v in query.items()}
    for answer in (
        asked.client.post(SEARCH.decode(), content=content, headers={**headers, **kind}),
        asked.client.get("/api/v1/audit/notifications", params=encodable, headers=headers),
    ):
        assert answer.status_code in (200, 400, 404), answer.text
        assert answer.json()

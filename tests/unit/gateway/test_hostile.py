"""What strangers send: slow heads, long heads, garbage; the gateway lives, and answers."""

from __future__ import annotations

import os
import socket
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_stream.gateway import protocol
from tests.support.asking import Asked

EXAMPLES = int(os.environ.get("AUDIT_TEST_REQUESTS", "300"))
PATHS = st.sampled_from([
    "/api/v1/audit/notifications", "/api/v1/audit/notifications/search", "/api/v1/audit/evidence",
    "/.well-known/jwks.json", "/openapi.json",
])  # fmt: skip


def connected(asked: Asked) -> socket.socket:
    host, port = asked.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.5)


def closed_within(stream: socket.socket, seconds: float) -> bool:
    stream.settimeout(seconds)
    try:
        while stream.recv(65_536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("sent", [b"", b"GET /api/v1/audit/notifications HTTP/1.1\r\nHost: a\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(asked: Asked, sent: bytes) -> None:
    with connected(asked) as stream:
        stream.sendall(sent)
        assert closed_within(stream, 10)


@pytest.mark.usefixtures("impatient")
def test_nor_is_one_that_trickles_behind_a_good_request(asked: Asked) -> None:
    good = b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: a\r\n\r\n"
    with connected(asked) as stream:
        stream.sendall(good)
        answer = stream.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 200")
        stream.sendall(good[:20])
        deadline = time.monotonic() + 10
        while not closed_within(stream, 0.1):
            assert time.monotonic() < deadline
            try:
                stream.sendall(b"X")
            except OSError:
                break


def test_a_head_that_is_too_long_is_refused(asked: Asked) -> None:
    with connected(asked) as stream:
        try:
            stream.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000)
            answer = stream.recv(65_536)
        except OSError:
            return
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    path=PATHS,
    body=st.binary(max_size=300) | st.text(max_size=100).map(str.encode),
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "TRACE"]),
    query=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60),
    kind=st.sampled_from(["application/json", "text/plain", ""]),
)
def test_no_request_breaks_it(
    asked: Asked, hostile: dict[str, str], path: str, body: bytes, method: str, query: str,
    kind: str,
) -> None:  # fmt: skip
    url = f"{path}?{query.replace('#', '')}"
    answer = asked.client.request(
        method, url, content=body, headers={**hostile, "Content-Type": kind}
    )
    assert answer.status_code < 500
    if answer.status_code >= 400 and method != "HEAD":
        assert answer.json()["status"] == answer.status_code


@settings(
    max_examples=EXAMPLES // 3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.binary(min_size=1, max_size=200))
def test_no_bytes_break_it(asked: Asked, data: bytes) -> None:
    with connected(asked) as stream:
        stream.sendall(data + b"\r\n\r\n")
        stream.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while part := stream.recv(65_536):
                answer += part
        except ConnectionResetError:
            pass
    assert answer == b"" or not answer.split(b" ")[1].startswith(b"5")
    assert asked.client.get("/.well-known/jwks.json").status_code == 200


@pytest.fixture(scope="module")
def hostile(asked: Asked) -> dict[str, str]:
    return asked.token("*")

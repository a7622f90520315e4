"""An error nobody thought of: a 500 that says nothing, and a log that says where, not what."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from audit_stream.gateway.around import Around
from audit_stream.gateway.protocol import BoundedProtocol
from audit_stream.kafka.embedded import free_ports
from tests.support.certificates import HOST, identity

SECRET = "+4915112345678"


async def broken(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/late":
        await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ValueError(SECRET)


@contextmanager
def served(app: Any, **settings: Any) -> Iterator[str]:
    port = free_ports(1)[0]
    server = uvicorn.Server(uvicorn.Config(
        app, host=HOST, port=port, http=BoundedProtocol, access_log=False, log_config=None,
        server_header=False, ws="none", **settings,
    ))  # fmt: skip
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline
        thread.join(0.02)
    try:
        yield f"{HOST}:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


def test_an_error_is_answered_and_logged_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[tuple[str, int]] = []
    app = Around(broken, ["/known"], lambda route, status, _: told.append((route, status)))
    with caplog.at_level(logging.DEBUG), served(app) as place:
        answer = httpx.get(f"http://{place}/known?customer={SECRET}")
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"http://{place}/late")
        httpx.request("SECRETMETHOD", f"http://{place}/{SECRET}")
    said = "\n".join(
        record.getMessage() + str(record.exc_info or "") for record in caplog.records
        if record.name.startswith(("audit_stream", "uvicorn"))
    )  # fmt: skip
    assert "internal error: ValueError at test_around.py:" in said
    assert "GET /known 500" in said
    assert SECRET not in said
    assert "SECRETMETHOD" not in said
    assert told == [("/known", 500), ("(other)", 200), ("(other)", 500)]


def test_over_tls_browsers_are_told_to_stay_there(tmp_path: Path) -> None:
    made = identity(tmp_path, "gateway")
    app = Around(broken, [], lambda *_: None)
    trust = ssl.create_default_context(cafile=made.certificate)
    with served(app, ssl_certfile=made.bundle) as place:
        answer = httpx.get(f"https://{place}/", verify=trust)
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    with served(app) as place:
        assert "strict-transport-security" not in httpx.get(f"http://{place}/").headers

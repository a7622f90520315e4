"""A gateway over real sockets: uvicorn in a thread, asked with httpx."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from audit_stream.app.gateway_server import GatewayServer
from audit_stream.gateway.caller import SCOPES
from audit_stream.gateway.tokens import TokenFile
from audit_stream.settings import Settings
from tests.support import golden

LIMIT_SECONDS = 30


class Asked:
    """The gateway as a client sees it."""

    def __init__(self, url: str, settings: Settings, server: GatewayServer) -> None:
        self.url, self.settings, self.server = url, settings, server
        self.reconnect()

    def reconnect(self) -> None:
        """A client with connections of its own."""
        self.client = httpx.Client(base_url=self.url, timeout=LIMIT_SECONDS)

    @property
    def connections(self) -> int:
        """How many the gateway has."""
        return len(self.server.server_state.connections)

    @cached_property
    def token_line(self) -> bytes:
        """A header line with a token that may do everything."""
        return b"Authorization: " + self.token()["Authorization"].encode()

    def token(
        self, *tenants: str, scopes: tuple[str, ...] = SCOPES, expires: int | None = None
    ) -> dict[str, str]:
        """Headers of a new token."""
        file = TokenFile(self.settings.gateway_tokens)
        _, token = file.create(tenants or ("*",), scopes, expires)
        return {"Authorization": f"Bearer {token}"}

    def journal(self) -> list[dict[str, Any]]:
        """Entries that are not sealed yet."""
        parts = sorted(self.settings.journal_dir.glob("part-*.jsonl"))
        return [json.loads(line) for path in parts for line in path.read_text().splitlines()]

    def get(self, headers: dict[str, str], **query: Any) -> httpx.Response:
        return self.client.get("/api/v1/audit/notifications", params=query, headers=headers)

    def post(self, headers: dict[str, str], **body: Any) -> httpx.Response:
        path = "/api/v1/audit/notifications/search"
        return self.client.post(path, json=body, headers=headers)


def gateway_settings(folder: Path, name: str, keyring: bytes) -> Settings:
    """Of an archive below `folder` that has this name; its keys are put there."""
    keys = folder / "keys"
    keys.mkdir(parents=True)
    for file, data in (("keyring.json", keyring), ("cover-1.bin", golden.COVER)):
        (keys / file).write_bytes(data)
        (keys / file).chmod(0o600)
    return Settings.load(
        None, archive=(folder / "archive").as_uri(), archive_name=name,
        keyring=keys / "keyring.json", index_dir=folder / "index", web_port=0,
        broker="kafka://127.0.0.1:1", gateway_tokens=folder / "tokens.json",
        answer_keys=folder / "answers", journal_dir=folder / "journal", gateway_rate=10_000,
        gateway_refresh_seconds=0.2, journal_seal_seconds=3600,
    )  # fmt: skip


@contextmanager
def serving(settings: Settings) -> Iterator[Asked]:
    """The gateway, while the block lasts."""
    server = GatewayServer(settings.model_copy(update={"gateway_port": 0}))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + LIMIT_SECONDS
    while not server.started:
        assert thread.is_alive(), "the gateway ended"
        assert time.monotonic() < deadline, "the gateway did not start"
        thread.join(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    scheme = "http" if settings.gateway_tls_cert is None else "https"
    asked = Asked(f"{scheme}://127.0.0.1:{port}", settings, server)
    try:
        yield asked
    finally:
        asked.client.close()
        server.should_exit = True
        thread.join(LIMIT_SECONDS)

"""The double's server: HTTPS by a certificate of its own authority, in a thread of its own."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from audit_stream.keys.vault_client import VaultAccess
from tests.support.certificates import HOST, identity
from tests.support.vault.model import ROLES, Vault
from tests.support.vault.service import TENANT, Service


class VaultDouble:
    """The double, while the `with` lasts. Identities are `model.ROLES`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._certificate = identity(folder, "vault")
        self.vault = Vault()
        self.service = Service(self.vault)
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return self.service.url

    def __enter__(self) -> Self:
        for who in ROLES:
            (self._folder / f"{who}.token").write_text(f"assertion of {who}")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
        """At the address it had, if it was stopped."""
        port = int(self.url.rpartition(":")[2]) if self.url else 0
        server = ThreadingHTTPServer((HOST, port), _handler(self.service))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate.bundle)
        context.maximum_version = most
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self.service.url = f"https://{HOST}:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self._server = server

    def stop(self) -> None:
        """As if it had gone away."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def access(self, **more: Any) -> VaultAccess:
        """How it is reached, without the waits of a real one."""
        fast = {"patience_seconds": 2.0, "settle_seconds": 0.0, "attempts": 1}
        return VaultAccess(
            url=self.url, ca_file=str(self._certificate.certificate), **{**fast, **more}
        )

    def environment(self, who: str) -> dict[str, str]:
        """What a process needs to come as `who`."""
        return {
            "AZURE_AUTHORITY_HOST": self.url, "AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": who,
            "AZURE_FEDERATED_TOKEN_FILE": str(self._folder / f"{who}.token"),
            "AUDIT_KEYRING_VAULT": self.url,
            "AUDIT_AZURE_CA_FILE": str(self._certificate.certificate),
        }  # fmt: skip

    def asked(self, who: str) -> list[tuple[str, str]]:
        """Method and path of each request that came with an identity's token."""
        return [(method, path) for name, method, path in self.service.asked if name == who]


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # an answer in one piece: else its body waits for the client's ACK

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = service.answer(self.command, self.path, self.headers, body)
            data = b"" if found.body is None else json.dumps(found.body).encode()
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Silent."""

    return Handler

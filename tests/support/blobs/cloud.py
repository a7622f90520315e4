"""The double as a small cloud: over TLS with a private CA, with workload identities and the
management plane, in a thread of its own, so that commands and workers reach it as they do Azure.

    with Cloud(tmp_path) as cloud:
        cloud.archive.locked = False            # what the owner does
        run(..., env=cloud.environment())       # as the writer

Identities: ``writer`` may read and add, and see the container's policy; ``auditor`` may read all;
``rewriter`` may replace and delete, too, where no policy forbids it; ``operator`` may do all there
is.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from pathlib import Path
from typing import Self

import pytest

from audit_stream.settings import Settings
from tests.support.blobs.access import Role
from tests.support.blobs.http import BlobDouble
from tests.support.blobs.management import GROUP, SUBSCRIPTION
from tests.support.blobs.model import Container, Kind
from tests.support.blobs.routes import ACCOUNT
from tests.support.blobs.service import BlobService
from tests.support.certificates import identity

SUBJECTS_ACCOUNT = "devsubjects"
_IDENTITIES: dict[str, tuple[Role, str]] = {
    "writer": ("writer", "c"), "auditor": ("reader", "car"), "operator": ("owner", "carw"),
    "nobody": ("writer", ""), "rewriter": ("contributor", "c"),
}  # fmt: skip


class Cloud:
    """The double, while the `with` lasts; the archive's container is locked for 2557 days."""

    def __init__(self, folder: Path, kind: Kind = "clw") -> None:
        self._folder, self._kind = folder, kind
        self._certificate = identity(folder, "cloud")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate.bundle)
        self.tls = context
        self.double = BlobDouble(BlobService(now=int(time.time())), tls=context)
        self.archive = Container("none")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cloud", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.double.__aenter__(), self._loop).result(30)
        self.archive = self.double.service.add_container("audit", self._kind, days=2557)
        facts = self.double.management.facts(ACCOUNT)
        facts.soft_delete_days = facts.container_soft_delete_days = 14
        facts.versioning = self._kind == "vlw"
        self.double.add_account(SUBJECTS_ACCOUNT).add_container("subjects")
        for name, (role, manages) in _IDENTITIES.items():
            self._assertion(name).write_text(f"assertion of {name}")
            access = self.double.service.access
            access.register_workload(name, f"assertion of {name}", role, manages)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    async def _end(self) -> None:
        await self.double.__aexit__()
        for _ in range(20):  # what was cut is let go of in the loop's next turns
            await asyncio.sleep(0)

    def _assertion(self, name: str) -> Path:
        return self._folder / f"{name}.token"

    def environment(self, who: str = "writer") -> dict[str, str]:
        """What a process needs to reach it as `who`."""
        return self.identity(who) | {f"AUDIT_{k.upper()}": v for k, v in self.fields().items()}

    def identity(self, who: str) -> dict[str, str]:
        """The environment of a workload identity."""
        return {
            "AZURE_AUTHORITY_HOST": self.double.root, "AZURE_TENANT_ID": "tenant",
            "AZURE_CLIENT_ID": who, "AZURE_FEDERATED_TOKEN_FILE": str(self._assertion(who)),
        }  # fmt: skip

    def become(self, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
        """From here on this process, and what it starts, has the identity `who`."""
        for name, value in self.identity(who).items():
            monkeypatch.setenv(name, value)

    def fields(self) -> dict[str, str]:
        """The settings that say where it is."""
        return {
            "archive": f"azure://{ACCOUNT}/audit",
            "subjects": f"azure://{SUBJECTS_ACCOUNT}/subjects",
            "azure_endpoint": self.double.root + "/{account}",
            "azure_management": self.double.root,
            "azure_subscription": SUBSCRIPTION, "azure_resource_group": GROUP,
            "azure_ca_file": str(self._certificate.certificate),
        }  # fmt: skip

    def settings(self, **more: object) -> Settings:
        """The same, loaded; the identity is the environment's."""
        return Settings.load(None, **{**self.fields(), **more})

    def changes(self) -> list[tuple[str, str]]:
        """Requests to the management plane that were not reads: method and what follows the
        account's name."""
        asked = [seen for seen in self.double.requests if seen.path.startswith("/subscriptions/")]
        return [
            (seen.method, seen.path.partition("/containers/")[2])
            for seen in asked
            if seen.method != "GET"
        ]

"""Azurite, Microsoft's emulator of Azure Blob: the wire protocol and create-only puts, no WORM.

`.ci/run` installs it; elsewhere ``npm install --prefix build/azurite azurite`` does.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

from azure.storage.blob.aio import BlobServiceClient

from audit_stream.kafka.embedded import free_ports
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
ACCOUNT = "devstoreaccount1"
#: Published by Microsoft for its emulators.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def script() -> Path | None:
    """Azurite's blob server, or None where it is not installed."""
    folder = Path(os.environ.get("AUDIT_TEST_AZURITE", ROOT / "build" / "azurite"))
    found = folder / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    return found if found.exists() and shutil.which("node") else None


class Azurite:
    """One server, in memory, on a free port of the loopback interface."""

    def __init__(self, main: Path) -> None:
        self._main = main
        self.port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["node", str(self._main), "--inMemoryPersistence", "--blobHost", "127.0.0.1",
             "--blobPort", str(self.port), "--skipApiVersionCheck", "--disableTelemetry",
             "--silent"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._main.parents[5],
        )  # fmt: skip
        asyncio.run(eventually(self._answers, 30))

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "Azurite ended"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def create_container(self, name: str) -> None:
        credential = {"account_name": ACCOUNT, "account_key": KEY}
        async with BlobServiceClient(self.endpoint, credential=credential) as service:
            await service.create_container(name)

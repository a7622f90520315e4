"""litewitness, a witness of others (C2SP tlog-witness), with its key in an agent of its own.

Its own tool for adding logs does not build from the public registries, so its two rows are written
here.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_stream.evidence.note import COSIGNATURE, NoteKey
from audit_stream.kafka.embedded import free_ports
from tests.support.eventually import eventually
from tests.support.go_peers import go_peer

NAME = "witness.example/w1"
_EMPTY_ROOT = b64encode(sha256(b"").digest()).decode()
_TABLES = """
CREATE TABLE log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL);
CREATE TABLE key (origin TEXT NOT NULL, key TEXT NOT NULL,
                  FOREIGN KEY(origin) REFERENCES log(origin));
"""


class LiteWitness:
    """A running witness that knows some logs."""

    def __init__(self, folder: Path, *logs: NoteKey) -> None:
        self._folder = folder
        self._secret = Ed25519PrivateKey.generate()
        self._public = self._secret.public_key()
        self.key = NoteKey(name=NAME, kind=COSIGNATURE, public=self._public.public_bytes_raw())
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self._processes: list[subprocess.Popen[bytes]] = []
        database = sqlite3.connect(folder / "witness.db")
        database.executescript(_TABLES)
        for log in logs:
            database.execute("INSERT INTO log VALUES (?, 0, ?)", (log.name, _EMPTY_ROOT))
            database.execute("INSERT INTO key VALUES (?, ?)", (log.name, str(log)))
        database.commit()
        database.close()

    async def start(self) -> None:
        """The agent, its key, and the witness; returns when it answers."""
        socket = self._folder / "agent"
        self._begin("ssh-agent", "-D", "-a", str(socket))

        async def listens() -> bool:
            return socket.exists()

        await eventually(listens)
        self._add_key(socket)
        self._begin(
            go_peer("litewitness"), "-name", NAME, "-db", str(self._folder / "witness.db"),
            "-ssh-agent", str(socket), "-listen", f"127.0.0.1:{self.port}", "-key", self._print(),
        )  # fmt: skip
        await eventually(self._answers)

    def _add_key(self, socket: Path) -> None:
        path = self._folder / "witness.key"
        path.write_bytes(self._secret.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        ))  # fmt: skip
        path.chmod(0o600)
        environment = os.environ | {"SSH_AUTH_SOCK": str(socket)}
        subprocess.run(["ssh-add", "-q", str(path)], env=environment, check=True, timeout=30)

    def _print(self) -> str:
        """The key's fingerprint as OpenSSH writes it."""
        line = self._public.public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        digest = sha256(b64decode(line.split()[1], validate=True)).digest()
        return f"SHA256:{b64encode(digest).decode().rstrip('=')}"

    async def _answers(self) -> bool:
        assert all(process.poll() is None for process in self._processes), "a process ended"
        return await asyncio.to_thread(self._shows_its_key)

    def _shows_its_key(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/", timeout=5) as answer:
                return str(self.key) in answer.read().decode()
        except OSError:
            return False

    def _begin(self, *command: str) -> None:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._processes.append(process)

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()


@contextmanager
def stopping(witness: LiteWitness) -> Iterator[LiteWitness]:
    try:
        yield witness
    finally:
        witness.stop()

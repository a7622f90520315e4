"""What `bench.stores` archives to: emulators and servers on loopback."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from audit_stream.stores.access import StoreAccess
from audit_stream.stores.azure_target import AzureAccess
from bench.processes import RunFailed
from tests.support import azurite
from tests.support.blobs.process import BlobProcess
from tests.support.blobs.routes import ACCOUNT
from tests.support.s3_account import identity, locked_bucket, plain_bucket
from tests.support.versitygw import Versitygw, versitygw

SUBJECTS = "-subjects"


class Server(Protocol):
    """A service on loopback that keeps objects."""

    name: str
    title: str  # as the table has it

    @property
    def environment(self) -> dict[str, str]:
        """How the workers reach it."""
        ...

    @property
    def access(self) -> StoreAccess:
        """How the benchmark looks at what they stored."""
        ...

    @property
    def writer(self) -> StoreAccess:
        """How the benchmark itself stores."""
        ...

    def url(self, container: str) -> str:
        """Of a container, or bucket, as AUDIT_ARCHIVE names it."""
        ...

    async def create_container(self, name: str) -> None:
        """Make one; the subjects' name ends with `SUBJECTS`."""
        ...


class Emulator:
    """Azurite, by its account's key."""

    name, title = "azurite", "Azurite"

    def __init__(self, server: azurite.Azurite) -> None:
        self._server = server

    @property
    def environment(self) -> dict[str, str]:
        """See `Server`."""
        endpoint = f"BlobEndpoint={self._server.endpoint}"
        string = f"AccountName={azurite.ACCOUNT};AccountKey={azurite.KEY};{endpoint}"
        return {"AUDIT_AZURE_CONNECTION_STRING": string}

    @property
    def access(self) -> StoreAccess:
        """See `Server`."""
        return StoreAccess(azure=AzureAccess(endpoint=self._server.endpoint, key=azurite.KEY))

    @property
    def writer(self) -> StoreAccess:
        """See `Server`."""
        return self.access

    def url(self, container: str) -> str:
        """See `Server`."""
        return f"azure://{azurite.ACCOUNT}/{container}"

    async def create_container(self, name: str) -> None:
        """See `Server`."""
        await self._server.create_container(name)


class Double:
    """The write-once double, by a SAS of the workers' own: their requests are counted under it."""

    name, title = "double", "write-once double"
    _WORKERS, _PUTTER, _WATCHER = "workers", "putter", "watcher"

    def __init__(self, process: BlobProcess) -> None:
        self._process = process
        process.tell("identities", sas=self._WORKERS, rights="rlac")
        process.tell("identities", sas=self._PUTTER, rights="rlac")
        process.tell("identities", sas=self._WATCHER, rights="rl")

    @property
    def environment(self) -> dict[str, str]:
        """See `Server`."""
        sas = f"sig={self._WORKERS}"
        return {"AUDIT_AZURE_ENDPOINT": self._process.endpoint, "AUDIT_AZURE_SAS": sas}

    @property
    def access(self) -> StoreAccess:
        """See `Server`."""
        return self._by(self._WATCHER)

    @property
    def writer(self) -> StoreAccess:
        """See `Server`."""
        return self._by(self._PUTTER)

    def _by(self, name: str) -> StoreAccess:
        sas = f"sig={name}"
        return StoreAccess(azure=AzureAccess(endpoint=self._process.endpoint, sas=lambda: sas))

    def url(self, container: str) -> str:
        """See `Server`."""
        return f"azure://{ACCOUNT}/{container}"

    async def create_container(self, name: str) -> None:
        """See `Server`: the archive's is locked, that of the subjects can be rewritten."""
        kind = "plain" if name.endswith(SUBJECTS) else "clw"
        locked = {"days": 2557, "locked": True} if kind == "clw" else {}
        self._process.tell("containers", name=name, kind=kind, **locked)

    def requests(self) -> Counter[str]:
        """The workers' requests since the last call, by method."""
        seen = self._process.ask("requests")
        self._process.clear("requests")
        return Counter(each["method"] for each in seen if each["client"] == self._WORKERS)


class Gateway:
    """versitygw on a folder, the workers with rights of their own."""

    name, title = "versitygw", "versitygw (S3)"
    _WORKERS, _WATCHER = "workers", "watcher"

    def __init__(self, server: Versitygw) -> None:
        self._server = server
        self._workers = identity(server, self._WORKERS)
        self._watcher = identity(server, self._WATCHER)

    @property
    def environment(self) -> dict[str, str]:
        """See `Server`."""
        return self._server.settings(self._workers)

    @property
    def access(self) -> StoreAccess:
        """See `Server`."""
        return StoreAccess(s3=self._server.access(self._watcher))

    @property
    def writer(self) -> StoreAccess:
        """See `Server`."""
        return StoreAccess(s3=self._server.access(self._workers, connections=16))

    def url(self, container: str) -> str:
        """See `Server`."""
        return f"s3://{container}"

    async def create_container(self, name: str) -> None:
        """See `Server`: the archive's has Object Lock, that of the subjects can be rewritten."""
        if name.endswith(SUBJECTS):
            plain_bucket(self._server, name, [self._WORKERS], self._WATCHER)
        else:
            locked_bucket(self._server, name, [self._WORKERS], self._WATCHER)


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[list[Server]]:
    """All of them, for the block; versitygw keeps its objects in `folder`."""
    main = azurite.script()
    if main is None:
        raise RunFailed("Azurite is not installed: see tests/support/azurite.py")
    server = azurite.Azurite(main)
    server.start()
    try:
        with BlobProcess() as process, versitygw(folder) as gateway:
            yield [Emulator(server), Double(process), Gateway(gateway)]
    finally:
        server.stop()

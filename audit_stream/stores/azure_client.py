"""How Azure is reached: address, identity, TLS, time limits, one bounded connection pool."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import md5
from typing import Any

import aiohttp
from azure.core import MatchConditions
from azure.core.credentials import AzureSasCredential
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import ContainerClient

from audit_stream.errors import ConfigError, StoreRefused
from audit_stream.stores.azure_errors import store_errors
from audit_stream.stores.azure_target import AzureAccess, AzureTarget
from audit_stream.stores.target import Turn, at_once

#: Newest REST version that every supported cloud and emulator of ours speaks.
API_VERSION = "2025-11-05"
IF_MISSING = {"match_condition": MatchConditions.IfMissing}
_PAGE = 5000  # names; the service gives no more at once
_SINGLE_PUT = 256 << 20  # bytes; above it the SDK would stage blocks, which add-only rights forbid


class Connection:
    """A container client over a session of its own, opened at first use."""

    def __init__(self, target: AzureTarget) -> None:
        self._target = target
        self._client: ContainerClient | None = None
        self._session: aiohttp.ClientSession | None = None
        self._credential: Any = None
        self._closed = False
        self.tls: str | None = None  # version of the newest connection, e.g. TLSv1.3

    def _note_tls(self, version: str | None) -> None:
        self.tls = version

    def container(self) -> ContainerClient:
        """The client; must be called inside the event loop that uses it."""
        if self._closed:
            raise StoreRefused("the store is closed")
        if self._client is None:
            self._client = self._open()
        return self._client

    def _open(self) -> ContainerClient:
        target, access = self._target, self._target.access
        self._session = open_session(access, self._note_tls)
        self._credential = _credential(target, self._session)
        transport = transport_over(self._session, access, target.turn)
        return ContainerClient(
            target.service_url, target.container, credential=self._credential,
            transport=transport, retry_total=0, max_single_put_size=_SINGLE_PUT,
            api_version=API_VERSION,
        )  # fmt: skip

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """Turn the SDK's exceptions into ours; a refusal has the SAS read again."""
        try:
            with store_errors(doing):
                yield
        except StoreRefused:
            self._renew()
            raise

    def _renew(self) -> None:
        """The SAS may have been replaced; if its file is gone, the old one is as good as any."""
        sas = self._target.access.sas
        if isinstance(self._credential, AzureSasCredential) and sas is not None:
            with suppress(ConfigError):
                self._credential.update(sas().lstrip("?"))

    async def upload(
        self, name: str, data: bytes, metadata: dict[str, str] | None = None, **condition: Any
    ) -> None:
        """One conditional Put Blob, which the service checks by its MD5 and then keeps with it.

        Raises what the SDK raises: its caller knows what a refusal of `condition` means.
        """
        checksum = bytearray(md5(data, usedforsecurity=False).digest())
        settings = ContentSettings(content_type="application/octet-stream", content_md5=checksum)
        # Without `overwrite` the SDK adds a condition of its own to an If-Match.
        await self.container().get_blob_client(name).upload_blob(
            data, overwrite="etag" in condition, content_settings=settings, metadata=metadata,
            validate_content="md5", timeout=self._target.access.server_seconds, **condition,
        )  # fmt: skip

    async def close(self) -> None:
        """Release the pool. May be called twice."""
        self._closed = True
        if self._client is not None:
            await self._client.close()
            self._client = None
        if hasattr(self._credential, "close"):
            await self._credential.close()
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)  # connections that broke are let go of in the loop's next turn


async def list_names(
    container: ContainerClient, prefix: str, after: str, limit: int | None
) -> list[str]:
    """Names in ascending order, as Azure lists them; what is not above `after` is skipped here."""
    found: list[str] = []
    page = _PAGE if after or limit is None else min(max(limit, 1), _PAGE)
    async for blob in container.list_blobs(name_starts_with=prefix, results_per_page=page):
        if limit is not None and len(found) >= limit:
            break
        if blob.name > after:
            found.append(blob.name)
    return found


def open_session(
    access: AzureAccess, negotiated: Callable[[str | None], None] = lambda _: None
) -> aiohttp.ClientSession:
    """A session with the TLS, proxies and bounds of `access`, to be closed by the caller;
    `negotiated` is told the TLS version of each connection."""
    context = ssl.create_default_context(cafile=access.ca_file)
    least = ssl.TLSVersion.TLSv1_3 if access.require_tls13 else ssl.TLSVersion.TLSv1_2
    context.minimum_version = least
    context.sslobject_class = _telling(negotiated)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=access.connections),
        auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), trust_env=True,
    )  # fmt: skip
    # aiohttp sends a PUT again by itself when its answer is lost; that must be ours to decide.
    if not hasattr(session, "_retry_connection"):
        raise AttributeError("aiohttp's ClientSession has no _retry_connection any more")
    session._retry_connection = False
    return session


def _telling(negotiated: Callable[[str | None], None]) -> type[ssl.SSLObject]:
    class Telling(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            negotiated(self.version())

    return Telling


class _InTurn(AioHttpTransport):  # type: ignore[misc]  # the SDK has no types for it
    """Sends each request when it is its turn: the time spent waiting is no part of a limit.

    Bodies are read to their end here. Where one breaks off outside, the SDK asks for it three times
    by itself, whatever its retries are set to, and the breaker would hear of one attempt.
    """

    def __init__(self, turn: Turn, **options: Any) -> None:
        super().__init__(**options)
        self._turn = turn

    async def send(self, request: Any, **options: Any) -> Any:
        await self._turn()
        return await super().send(request, **{**options, "stream": False})


def transport_over(
    session: aiohttp.ClientSession, access: AzureAccess, turn: Turn = at_once
) -> AioHttpTransport:
    """The session as the SDK wants it; closing the one leaves the other open."""
    # The limits go to the transport: a client with a transport of its own ignores them.
    return _InTurn(
        turn, session=session, session_owner=False,
        connection_timeout=access.connect_seconds, read_timeout=access.read_seconds,
    )  # fmt: skip


def identity(access: AzureAccess, session: aiohttp.ClientSession, turn: Turn = at_once) -> Any:
    """The workload's identity, else the machine's. The authority is asked over `session`, as it may
    stand behind the same proxy and private CA; the machine's own endpoint is not."""
    from azure.identity.aio import (
        AzureCliCredential,
        ManagedIdentityCredential,
        WorkloadIdentityCredential,
    )

    if access.cli_login:
        return AzureCliCredential()
    try:
        return WorkloadIdentityCredential(transport=transport_over(session, access, turn))
    except ValueError:  # its environment is not set: not in a cluster
        return ManagedIdentityCredential(client_id=access.client_id)


def _credential(target: AzureTarget, session: aiohttp.ClientSession) -> Any:
    access = target.access
    if access.sas is not None:
        return AzureSasCredential(access.sas().lstrip("?"))
    if access.key is not None:
        return {"account_name": target.account, "account_key": access.key}
    return identity(access, session, target.turn)

"""How Azure is reached: address, identity, TLS, time limits, one bounded connection pool."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import aiohttp
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob.aio import ContainerClient

from audit_stream.errors import StoreRefused
from audit_stream.stores.azure_target import AzureAccess, AzureTarget

#: Newest REST version that every supported cloud and emulator of ours speaks.
API_VERSION = "2025-11-05"
_SINGLE_PUT = 256 << 20  # bytes; above it the SDK would stage blocks, which add-only rights forbid
_SERVER_ERRORS_FOR_GOOD = frozenset((501, 505))


class Connection:
    """A container client over a session of its own, opened at first use."""

    def __init__(self, target: AzureTarget) -> None:
        self._target = target
        self._client: ContainerClient | None = None
        self._session: aiohttp.ClientSession | None = None
        self._credential: Any = None
        self._closed = False

    def container(self) -> ContainerClient:
        """The client; must be called inside the event loop that uses it."""
        if self._closed:
            raise StoreRefused("the store is closed")
        if self._client is None:
            self._client = self._open()
        return self._client

    def _open(self) -> ContainerClient:
        target, access = self._target, self._target.access
        self._session = _session(access)
        self._credential = _credential(target)
        # The limits go to the transport: a client with a transport of its own ignores them.
        transport = AioHttpTransport(
            session=self._session, session_owner=False,
            connection_timeout=access.connect_seconds, read_timeout=access.read_seconds,
        )  # fmt: skip
        return ContainerClient(
            target.service_url, target.container, credential=self._credential,
            transport=transport, retry_total=0, max_single_put_size=_SINGLE_PUT,
            api_version=API_VERSION,
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


def _session(access: AzureAccess) -> aiohttp.ClientSession:
    context = ssl.create_default_context(cafile=access.ca_file)
    least = ssl.TLSVersion.TLSv1_3 if access.require_tls13 else ssl.TLSVersion.TLSv1_2
    context.minimum_version = least
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=access.connections),
        auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), trust_env=True,
    )  # fmt: skip
    # aiohttp sends a PUT again by itself when its answer is lost; that must be ours to decide.
    if not hasattr(session, "_retry_connection"):
        raise AttributeError("aiohttp's ClientSession has no _retry_connection any more")
    session._retry_connection = False
    return session


def _credential(target: AzureTarget) -> Any:
    access = target.access
    if access.sas is not None:
        return AzureSasCredential(access.sas)
    if access.key is not None:
        return {"account_name": target.account, "account_key": access.key}
    from azure.identity.aio import ManagedIdentityCredential, WorkloadIdentityCredential

    try:
        return WorkloadIdentityCredential()
    except ValueError:  # its environment is not set: not in a cluster
        return ManagedIdentityCredential(client_id=access.client_id)


def error_code(error: AzureError) -> str | None:
    """The service's code, from the error or the header; some calls fill in only one of them."""
    code = getattr(error, "error_code", None)
    if code is None:
        return response_header(error, "x-ms-error-code")
    return str(getattr(code, "value", code))


def response_header(error: AzureError, name: str) -> str | None:
    """A header of the answer that was an error, if there was an answer."""
    response: Any = getattr(error, "response", None)
    return None if response is None else response.headers.get(name)


def is_ambiguous(error: AzureError) -> bool:
    """Whether the call may have taken effect, or may go through later.

    In the asynchronous client every lost connection is a ServiceRequestError, also one that was
    lost after the service had the bytes.
    """
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return True
    if not isinstance(error, HttpResponseError) or error.status_code is None:
        return True  # the body broke off, or the SDK itself gave up: nothing is known
    status = error.status_code
    return status in (408, 429) or (status >= 500 and status not in _SERVER_ERRORS_FOR_GOOD)

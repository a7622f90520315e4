"""SDK clients for a double, and the answer that one of their calls was refused with."""

from __future__ import annotations

import base64
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ImmutabilityPolicy
from azure.storage.blob.aio import BlobClient, BlobServiceClient

from tests.support.blobs.access import Role
from tests.support.blobs.http import BlobDouble

_KEY = base64.b64encode(b"the double checks no signature").decode()


class Clients(AsyncExitStack):
    """Opens SDK clients without retries, and closes them with itself."""

    def __init__(self, double: BlobDouble) -> None:
        super().__init__()
        self._double = double

    async def shared_key(self, **options: Any) -> BlobServiceClient:
        """The owner's client."""
        credential = {"account_name": "devaccount", "account_key": _KEY}
        return await self._client(credential=credential, **options)

    async def blob(self, container: str, name: str = "a/1", **options: Any) -> BlobClient:
        """The owner's client of one blob."""
        return (await self.shared_key(**options)).get_blob_client(container, name)

    async def sas(self, rights: str, **options: Any) -> BlobServiceClient:
        """A client with a SAS of these rights."""
        self._double.service.access.register_sas(f"sas-{rights}", rights)
        credential = AzureSasCredential(f"sig=sas-{rights}")
        return await self._client(credential=credential, **options)

    async def role(self, role: Role, **options: Any) -> BlobServiceClient:
        """A client with a token of this role, set by hand: the SDK's own credentials want TLS."""
        self._double.service.access.register_token(f"token-{role}", role)
        headers = {"Authorization": f"Bearer token-{role}"}
        return await self._client(headers=headers, **options)

    async def _client(self, **options: Any) -> BlobServiceClient:
        client = BlobServiceClient(self._double.url, retry_total=0, **options)
        return await self.enter_async_context(client)


HELD = (409, "BlobImmutableDueToLegalHold")
RETAINED = (409, "BlobImmutableDueToPolicy")


def policy(until: int, mode: str = "locked") -> ImmutabilityPolicy:
    """A policy until that Unix second, as the SDK wants it."""
    return ImmutabilityPolicy(expiry_time=datetime.fromtimestamp(until, UTC), policy_mode=mode)


async def create_only(client: BlobClient, body: bytes = b"one", **options: Any) -> dict[str, Any]:
    """A write with If-None-Match: *."""
    return await client.upload_blob(body, match_condition=MatchConditions.IfMissing, **options)


async def refusal(call: Awaitable[Any]) -> tuple[int, str]:
    """Status and error code that a call is refused with."""
    with pytest.raises(HttpResponseError) as caught:
        await call
    response: Any = caught.value.response  # whose base type knows no headers
    return response.status_code or 0, response.headers.get("x-ms-error-code", "")

"""Azure's management plane (ARM) over REST: it alone knows whether a policy is locked.

Two GETs and a handful of changes do not pay for the management SDK. The changes are those of a
retention policy: it can be set while it is unlocked, locked, and extended; nothing here shortens,
unlocks or removes one. And those of a container's legal hold, tag by tag. (`azure_trial` has the
throw-away container of ``doctor``.)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

from azure.core import AsyncPipelineClient
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    AsyncRetryPolicy,
    UserAgentPolicy,
)
from azure.core.rest import AsyncHttpResponse, HttpRequest

from audit_stream.errors import StoreError, StoreRefused
from audit_stream.stores.azure_client import identity, open_session, transport_over
from audit_stream.stores.azure_errors import store_errors
from audit_stream.stores.azure_facts import (
    Account,
    BlobService,
    Container,
    Grant,
    Policy,
    account_of,
    container_of,
    grants_of,
    policy_of,
    service_of,
)
from audit_stream.stores.azure_target import AzureTarget, Management
from audit_stream.stores.observed import Unread

STORAGE_API = "2024-01-01"
_AUTHORIZATION_API = "2022-04-01"
_SECONDS = 60.0  # for all that is read at once
_RETRIES = 2
NOT_SET = Unread("AUDIT_AZURE_SUBSCRIPTION and AUDIT_AZURE_RESOURCE_GROUP are not set")
R = TypeVar("R")


class Arm:
    """The management plane of one container and its account; made by `open_arm`."""

    def __init__(self, client: Any, management: Management, target: AzureTarget) -> None:
        self._client = client
        self._management = management
        self.account_path = (
            f"/subscriptions/{quote(management.subscription)}/resourceGroups/"
            f"{quote(management.resource_group)}/providers/Microsoft.Storage/storageAccounts/"
            f"{target.account}"
        )
        self.container_path = (
            f"{self.account_path}/blobServices/default/containers/{target.container}"
        )
        self.policy_path = f"{self.container_path}/immutabilityPolicies/default"

    # Reading

    async def container(self) -> Container:
        """The container with its policy."""
        return container_of(await self.get(self.container_path))

    async def account(self) -> Account:
        """The account's switches."""
        return account_of(await self.get(self.account_path))

    async def service(self) -> BlobService:
        """Versioning and soft delete."""
        return service_of(await self.get(f"{self.account_path}/blobServices/default"))

    async def grants(self) -> tuple[Grant, ...]:
        """Role assignments on the container and above that can remove or overwrite."""
        scope = f"{self.container_path}/providers/Microsoft.Authorization/roleAssignments"
        found = await self.get(scope, _AUTHORIZATION_API, {"$filter": "atScope()"})
        assignments = list(found.get("value") or ())
        while (link := found.get("nextLink")) is not None:
            found = await self._json("GET", self._own(str(link)))
            assignments += found.get("value") or ()
        ids = {str(each["properties"]["roleDefinitionId"]) for each in assignments}
        roles = {each: await self.get(each, _AUTHORIZATION_API) for each in sorted(ids)}
        return grants_of(assignments, roles)

    async def get(
        self, path: str, api: str = STORAGE_API, query: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        """One document."""
        return await self._json("GET", path, {"api-version": api, **(query or {})})

    # Changing a policy

    async def set_unlocked_policy(self, days: int, etag: str | None) -> Policy | None:
        """Make a policy, unlocked, or set the period of one that is unlocked still."""
        given = {
            "immutabilityPeriodSinceCreationInDays": days, "allowProtectedAppendWrites": False,
            "allowProtectedAppendWritesAll": False,
        }  # fmt: skip
        return await self._change("PUT", self.policy_path, etag, given)

    async def extend_policy(self, days: int, etag: str) -> Policy | None:
        """Make a locked policy longer, for ever."""
        given = {"immutabilityPeriodSinceCreationInDays": days}
        return await self._change("POST", f"{self.policy_path}/extend", etag, given)

    async def lock_policy(self, etag: str) -> Policy | None:
        """Lock the policy, for ever, if it still is the one with this ETag."""
        return await self._change("POST", f"{self.policy_path}/lock", etag)

    # Legal holds of the container

    async def set_hold(self, tag: str, held: bool) -> None:
        """Set or clear one tag of the container's legal hold; others stay."""
        act = "setLegalHold" if held else "clearLegalHold"
        query = {"api-version": STORAGE_API}
        await self._json("POST", f"{self.container_path}/{act}", query, body={"tags": [tag]})

    async def _change(
        self, method: str, path: str, etag: str | None, given: Mapping[str, Any] | None = None
    ) -> Policy | None:
        headers = {} if etag is None else {"If-Match": etag}
        body = None if given is None else {"properties": dict(given)}
        query = {"api-version": STORAGE_API}
        return policy_of(await self._json(method, path, query, body=body, headers=headers))

    async def _json(
        self, method: str, path: str, query: Mapping[str, str] | None = None, *,
        body: Any = None, headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:  # fmt: skip
        answer = await self.send(method, path, query, body=body, headers=headers)
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise StoreRefused(
                "the management plane's answer is not JSON", hint="check AUDIT_AZURE_MANAGEMENT"
            )
        return found

    async def send(
        self, method: str, path: str, query: Mapping[str, str] | None = None, *,
        body: Any = None, headers: Mapping[str, str] | None = None,
    ) -> AsyncHttpResponse:  # fmt: skip
        """One request; `StoreTransient` or `StoreRefused` when it did not succeed. Only what reads
        is tried again."""
        request = HttpRequest(
            method, self._management.url + path, params=dict(query or {}), json=body,
            headers={"Accept-Encoding": "identity", **(headers or {})},
        )  # fmt: skip
        retries = _RETRIES if method == "GET" else 0
        with store_errors("asking the management plane"):
            answer: AsyncHttpResponse = await self._client.send_request(
                request, retry_total=retries
            )
            answer.raise_for_status()
        return answer

    def _own(self, link: str) -> str:
        """The path of a next page: a link to elsewhere must not get our token."""
        if not link.startswith(f"{self._management.url}/"):
            raise StoreRefused("the management plane's next page lies elsewhere")
        return link.removeprefix(self._management.url)


@asynccontextmanager
async def open_arm(target: AzureTarget) -> AsyncIterator[Arm]:
    """The management plane, asked with the identity; `StoreRefused` where it is not set."""
    access = target.access
    management = access.management
    if management is None:
        raise StoreRefused(
            "the management plane cannot be asked",
            hint="set AUDIT_AZURE_SUBSCRIPTION and AUDIT_AZURE_RESOURCE_GROUP",
        )
    session = open_session(access)
    credential = identity(access, session)
    policies = [
        UserAgentPolicy(sdk_moniker="audit-stream"),
        AsyncRetryPolicy(retry_total=_RETRIES, retry_backoff_factor=0.5),
        AsyncBearerTokenCredentialPolicy(credential, f"{management.url}/.default"),
    ]
    client: Any = AsyncPipelineClient(
        management.url, policies=policies, transport=transport_over(session, access)
    )
    try:
        yield Arm(client, management, target)
    finally:
        await client.close()
        await credential.close()
        await session.close()


async def unread(call: Awaitable[R]) -> R | Unread:
    """What the call gives, or why it gave nothing."""
    try:
        async with asyncio.timeout(_SECONDS):
            return await call
    except StoreError as error:
        return Unread(error.message)
    except TimeoutError:
        return Unread(f"no answer within {_SECONDS:g} s")

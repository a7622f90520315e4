"""A container for trials: made with an unlocked policy of one day, and removed afterwards.

The one place that removes a policy, and only of a container that it made itself: every name here
begins with `PREFIX`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from azure.core.exceptions import AzureError
from azure.storage.blob.aio import ContainerClient

from audit_stream.errors import StoreError, StoreRefused
from audit_stream.stores.azure_arm import STORAGE_API, Arm, open_arm
from audit_stream.stores.azure_client import Connection
from audit_stream.stores.azure_errors import store_errors
from audit_stream.stores.azure_target import AzureTarget

PREFIX = "audit-doctor-"
_API = {"api-version": STORAGE_API}
_SETTLE_SECONDS = 30.0  # a policy is in force within this time
_REMOVE_SECONDS = 120.0  # longer than a trial locks a version for
_POLL_SECONDS = 1.0


@asynccontextmanager
async def scratch_container(target: AzureTarget, *, versioned: bool) -> AsyncIterator[Connection]:
    """The container `target`, which must not be there, while the `async with` lasts.

    `StoreError` when it cannot be made, or when something of it is left.
    """
    if not target.container.startswith(PREFIX):
        raise StoreRefused(f"a container for trials is named {PREFIX}…")
    async with open_arm(target) as arm:
        connection = Connection(target)
        try:
            await _make(arm, versioned=versioned)
            try:
                await _protect(arm, connection, versioned=versioned)
                yield connection
            finally:
                await _remove(arm, connection, target)
        finally:
            await connection.close()


async def _make(arm: Arm, *, versioned: bool) -> None:
    given = {"immutableStorageWithVersioning": {"enabled": True}} if versioned else {}
    await arm.send("PUT", arm.container_path, _API, body={"properties": given})


async def _protect(arm: Arm, connection: Connection, *, versioned: bool) -> None:
    """Set the policy, and wait until the data plane knows it; of versions it may never tell."""
    await arm.set_unlocked_policy(1, None)
    if versioned:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(_SETTLE_SECONDS):
            await _until(lambda: _is_protected(connection))


async def _is_protected(connection: Connection) -> bool:
    with store_errors("looking at the trial's container"):
        return bool(
            (await connection.container().get_container_properties()).has_immutability_policy
        )


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await holds():
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _remove(arm: Arm, connection: Connection, target: AzureTarget) -> None:
    try:
        async with asyncio.timeout(_REMOVE_SECONDS):
            await _until(lambda: _removed(arm, connection))
    except TimeoutError:
        raise StoreRefused(
            f"something is left of the container {target.container}",
            hint="delete it once its objects' retention is over, a day from now",
        ) from None


async def _removed(arm: Arm, connection: Connection) -> bool:
    """Policy, objects, container; False when it has to be tried again."""
    with suppress(StoreError):
        policy = (await arm.container()).policy
        if policy is not None:
            await arm.send("DELETE", arm.policy_path, _API, headers={"If-Match": policy.etag})
        await _empty(connection.container())
        await arm.send("DELETE", arm.container_path, _API)
        return True
    return False


async def _empty(container: ContainerClient) -> None:
    """Delete all objects, and all versions where there are some."""
    with store_errors("emptying the trial's container"):
        async for blob in container.list_blobs():
            await _free(container, blob.name)
            await container.delete_blob(blob.name)
        async for blob in container.list_blobs(include=["versions"]):
            if blob.version_id:
                await _free(container, blob.name, version_id=blob.version_id)
                await container.delete_blob(blob.name, version_id=blob.version_id)


async def _free(container: ContainerClient, name: str, **version: Any) -> None:
    """Take an unlocked policy from a version; where there are no versions there is none."""
    with suppress(AzureError):
        await container.get_blob_client(name).delete_immutability_policy(**version)

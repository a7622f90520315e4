"""A container under test: handles on it, and what the writer's own credentials can do past them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ImmutabilityPolicy
from azure.storage.blob.aio import BlobClient, ContainerClient

from audit_stream.ports import WormStore
from audit_stream.stores.azure import AzureStore
from audit_stream.stores.azure_target import AzureTarget
from tests.contract.worm_store_contract import Attack, Standing, Target, WormStoreContract


class AzureAttacker(Target):
    """Attacks with the SDK, whose answers are refusals or not: what stands then is the test's."""

    settles_lost_answers = True

    def __init__(self, at: AzureTarget) -> None:
        self.at = at
        self.handles: list[AzureStore] = []

    def open(self, *, read_only: bool = False) -> AzureStore:
        self.handles.append(AzureStore(self.at, read_only))
        return self.handles[-1]

    async def close(self) -> None:
        for handle in self.handles:
            await handle.close()

    def _client(self) -> ContainerClient:
        access = self.at.access
        credential: Any = {"account_name": self.at.account, "account_key": access.key}
        if access.sas is not None:
            credential = AzureSasCredential(access.sas())
        return ContainerClient(
            self.at.service_url, self.at.container, credential=credential, retry_total=0
        )

    async def attack(self, attack: Attack, name: str) -> None:
        async with self._client() as container:
            with suppress(HttpResponseError):
                await _attempt(container.get_blob_client(name), attack)

    async def standing(self, name: str) -> Standing:
        async with self._client() as container:
            oldest = await _oldest(container, name)
            blob = container.get_blob_client(name)
            options = {"version_id": oldest} if oldest else {}
            found = await blob.get_blob_properties(**options)
            body = await (await blob.download_blob(**options)).readall()
            until = found.immutability_policy.expiry_time if found.immutability_policy else None
            return Standing(
                data=bytes(body), metadata=found.metadata,
                retained_until=int(until.timestamp()) if until else None,
            )  # fmt: skip


async def _attempt(blob: BlobClient, attack: Attack) -> None:
    match attack:
        case "overwrite":
            await blob.upload_blob(b"other", overwrite=True)
        case "delete":
            await blob.delete_blob()
        case "metadata":
            await blob.set_blob_metadata({"legal_hold": "false"})
        case "shorten":
            earlier = ImmutabilityPolicy(
                expiry_time=datetime(2027, 2, 1, tzinfo=UTC), policy_mode="locked"
            )
            await blob.set_immutability_policy(earlier)


async def _oldest(container: ContainerClient, name: str) -> str | None:
    """Version id of the oldest version, where there are versions."""
    found = await container.get_container_properties()
    if not found.immutable_storage_with_versioning_enabled:
        return None
    versions = container.list_blobs(name_starts_with=name, include=["versions"])
    return min([str(blob.version_id) async for blob in versions if blob.name == name])


class AzureContract(WormStoreContract):
    """The contract, as every service of Azure's kind keeps it."""

    @pytest.mark.xfail(strict=True, reason="Azure lets a name be the folder of another; ours never")
    @pytest.mark.parametrize(("first", "second"), [("a/b", "a"), ("a", "a/b"), ("a/b", "a/b/c/d")])
    async def test_no_name_is_the_folder_of_another(
        self, store: WormStore, first: str, second: str
    ) -> None:
        await super().test_no_name_is_the_folder_of_another(store, first, second)

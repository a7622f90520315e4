"""The archive in an Azure blob container: one single-shot conditional Put Blob per object.

The SDK's retries are off (`stores.retry` has ours), and so is aiohttp's own repetition of a PUT
whose answer was lost: every doubt is settled by HEAD and compare. The writer sends no policy and no
hold of its own, so an identity that may only read and add is enough; the container enforces the
rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import BlobProperties, ImmutabilityPolicy
from azure.storage.blob.aio import ContainerClient

from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.ports import HoldLevel, PutResult
from audit_stream.posture import Posture
from audit_stream.stores import azure_canary
from audit_stream.stores.azure_client import IF_MISSING, Connection, list_names
from audit_stream.stores.azure_errors import (
    CONFLICTS,
    check_absent,
    doubt,
    error_code,
    is_ambiguous,
)
from audit_stream.stores.azure_judge import judge_archive
from audit_stream.stores.azure_survey import survey_archive
from audit_stream.stores.azure_target import AzureTarget
from audit_stream.stores.names import check_body, check_name, check_prefix
from audit_stream.stores.settling import still_unclear


class AzureStore:
    """`ports.WormStore` on one container. Bodies are at most 256 MiB: one request each."""

    def __init__(self, target: AzureTarget, read_only: bool = False) -> None:
        self._target = target
        self._read_only = read_only
        self._connection = Connection(target)
        self._versioned: bool | None = None  # version-level WORM: the oldest version counts

    @property
    def url(self) -> str:
        """``azure://account/container``."""
        return self._target.url

    async def put_if_absent(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        """See `ports.WormStore`. One PUT; in doubt, one HEAD."""
        check_name(name)
        check_body(name, data)
        if self._read_only:
            raise StoreRefused(f"cannot store {name}: the store was opened read-only")
        unclear = await self._put(name, data, metadata)
        if unclear is None:
            return PutResult.STORED
        return await self._settle(name, data, unclear)

    async def _put(
        self, name: str, data: bytes, metadata: Mapping[str, str]
    ) -> StoreTransient | None:
        """Store; None when the service said so, else what left it in doubt."""
        sums = {**metadata, "sha256": sha256(data).hexdigest()}
        with self._connection.errors(f"storing {name}"):
            try:
                await self._connection.upload(name, data, sums, **IF_MISSING)
            except AzureError as error:
                code = error_code(error)
                if code in CONFLICTS:
                    return StoreTransient(f"{name} is taken ({code})")
                if is_ambiguous(error):
                    return doubt(f"storing {name}", error)
                raise
        return None

    async def _settle(self, name: str, data: bytes, unclear: StoreTransient) -> PutResult:
        """What stands under the name: ours, another's, or (still in doubt) nothing."""
        try:
            standing = await self._oldest(name)
        except StoreTransient as error:
            # Unknown: the caller puts the same bytes again, which settles it.
            raise still_unclear(unclear, error) from error
        if standing is None:
            raise unclear
        same = (
            standing.size == len(data)
            and (standing.metadata or {}).get("sha256") == sha256(data).hexdigest()
        )
        # Metadata is what its writer says: equal sums are not proof that the bytes are ours.
        if same and await self.get(name) == data:
            return PutResult.STORED
        return PutResult.EXISTS

    async def get(self, name: str) -> bytes | None:
        """See `ports.WormStore`."""
        check_name(name)
        with self._connection.errors(f"reading {name}"):
            oldest = await self._oldest(name) if await self._keeps_versions() else None
            blob = self._container().get_blob_client(name)
            try:
                options = {"version_id": oldest.version_id} if oldest else {}
                stream = await blob.download_blob(max_concurrency=1, **options)
                return bytes(await stream.readall())
            except ResourceNotFoundError as error:
                check_absent(error)
                return None

    async def _oldest(self, name: str) -> BlobProperties | None:
        """Properties of the oldest version under the name: a later one cannot take its place."""
        with self._connection.errors(f"looking at {name}"):
            if await self._keeps_versions():
                versions = self._container().list_blobs(name_starts_with=name, include=["versions"])
                found = [blob async for blob in versions if blob.name == name]
                if not found:
                    return None
                version = min(found, key=lambda blob: str(blob.version_id)).version_id
                options = {"version_id": version}
            else:
                options = {}
            blob = self._container().get_blob_client(name)
            try:
                properties: BlobProperties = await blob.get_blob_properties(**options)
            except ResourceNotFoundError as error:
                check_absent(error)
                return None
            return properties

    async def _keeps_versions(self) -> bool:
        if self._versioned is None:
            properties = await self._container().get_container_properties()
            self._versioned = bool(properties.immutable_storage_with_versioning_enabled)
        return self._versioned

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.WormStore`."""
        check_prefix(prefix)
        with self._connection.errors(f"listing {prefix or 'everything'}"):
            return await list_names(self._container(), prefix, after, limit)

    async def extend_retention(self, name: str, until_ms: int) -> None:
        """See `ports.WormStore`; only containers with version-level immutability have it."""
        found = await self._protectable(name, "retention")
        until = datetime.fromtimestamp(-(-until_ms // 1000), UTC)
        standing = found.immutability_policy.expiry_time if found.immutability_policy else None
        if standing is not None and standing >= until:
            return
        with self._connection.errors(f"extending the retention of {name}"):
            blob = self._container().get_blob_client(name)
            policy = ImmutabilityPolicy(expiry_time=until, policy_mode="locked")
            await blob.set_immutability_policy(policy, version_id=found.version_id)

    async def set_hold(self, name: str, held: bool) -> None:
        """See `ports.WormStore`; only containers with version-level immutability have it."""
        found = await self._protectable(name, "holds")
        with self._connection.errors(f"setting the hold of {name}"):
            blob = self._container().get_blob_client(name)
            await blob.set_legal_hold(held, version_id=found.version_id)

    async def held(self, name: str) -> bool | None:
        """See `ports.WormStore`; of the version that counts."""
        if await self.hold_level() is not HoldLevel.OBJECT:
            check_name(name)
            return None
        return bool((await self._protectable(name, "holds")).has_legal_hold)

    async def hold_level(self) -> HoldLevel:
        """See `ports.WormStore`: without version-level immutability the container is held."""
        with self._connection.errors("looking at the container"):
            versioned = await self._keeps_versions()
        return HoldLevel.OBJECT if versioned else HoldLevel.CONTAINER

    async def _protectable(self, name: str, what: str) -> BlobProperties:
        check_name(name)
        found = await self._oldest(name)
        if found is None:
            raise StoreRefused(f"there is no object {name}")
        if not await self._keeps_versions():
            raise StoreRefused(
                f"{self.url} has no {what} per object",
                hint="its container's own policy and holds protect all of it",
            )
        return found

    async def posture(self) -> Posture:
        """See `ports.WormStore`. The data plane does not tell locked from unlocked: `worm_locked`
        takes a look at the management plane, and a canary that withstood us."""
        put = None if self._read_only else self._put_canary
        return judge_archive(await survey_archive(self._connection, self._target, put))

    async def _put_canary(self) -> PutResult:
        return await self.put_if_absent(azure_canary.NAME, azure_canary.BODY, {})

    async def close(self) -> None:
        """See `ports.WormStore`."""
        await self._connection.close()

    def _container(self) -> ContainerClient:
        return self._connection.container()

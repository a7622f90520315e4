"""Disposal from an Azure container: the service refuses what its retention or a hold still keeps.

Where there are versions, a blob is deleted first (which makes it a previous version) and each of
its versions then, for the current one cannot be deleted by its id. Soft delete keeps a copy for
as long as the account says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import BlobProperties

from audit_stream.ports import Kept
from audit_stream.stores.azure_arm import open_arm, unread
from audit_stream.stores.azure_client import Connection
from audit_stream.stores.azure_errors import check_absent, error_code
from audit_stream.stores.azure_target import AzureTarget
from audit_stream.stores.disposal.versions import both, in_ms, is_before, narrowed
from audit_stream.stores.names import check_name, check_prefix
from audit_stream.stores.observed import Unread

_KEPT = frozenset(("BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold"))
_FACTS = ["immutabilitypolicy", "legalhold"]


class AzureDisposer:
    """`ports.Disposer` on one container."""

    def __init__(self, target: AzureTarget) -> None:
        self._target, self._connection = target, Connection(target)

    @property
    def url(self) -> str:
        """``azure://account/container``."""
        return self._target.url

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.Inventory`. Every listing begins with the prefix: a request for each 5,000
        names before `after`, too."""
        check_prefix(prefix)
        found: list[str] = []
        with self._connection.errors(f"listing {prefix or 'everything'}"):
            async for blob in self._blobs(prefix, await self._keeps_versions(), ()):
                if limit is not None and len(found) >= limit:
                    break
                if blob.name > after and (not found or blob.name != found[-1]):
                    found.append(blob.name)
        return found

    def _blobs(
        self, prefix: str, versioned: bool, facts: Sequence[str]
    ) -> AsyncIterator[BlobProperties]:
        include = [*facts, "versions"] if versioned else list(facts)
        found: AsyncIterator[BlobProperties] = self._connection.container().list_blobs(
            name_starts_with=prefix, include=include or None
        )
        return found

    async def _keeps_versions(self) -> bool:
        return bool((await self._properties()).immutable_storage_with_versioning_enabled)

    async def kept(self, prefix: str, *, after: str = "", before: str = "") -> Sequence[Kept]:
        """See `ports.Inventory`. What a container's own policy keeps is reckoned from its days, or
        from those it should have where the management plane does not tell. Where there are
        versions, all of a name's count, also of one whose blob is deleted. A listing tells all of
        it, 5,000 at a time."""
        check_prefix(prefix)
        with self._connection.errors(f"listing {prefix or 'everything'}"):
            found = await self._properties()
            versioned = bool(found.immutable_storage_with_versioning_enabled)
            days = await self._days() if found.has_immutability_policy and not versioned else None
            blobs = self._blobs(narrowed(prefix, after, before), versioned, _FACTS)
            together: dict[str, Kept] = {}
            oldest = ""  # version of the name that the listing is at: it goes by names
            is_wanted = is_before(before)
            async for blob in blobs:
                if not is_wanted(blob.name):
                    break
                if blob.name <= after:
                    continue
                kept, version = _kept(blob, days, bool(found.has_legal_hold)), str(blob.version_id)
                there = together.get(kept.name)
                older = there is None or version < oldest
                together[kept.name] = kept if there is None else both(there, kept, older=older)
                oldest = version if older else oldest
            return list(together.values())

    async def _properties(self) -> Any:
        return await self._connection.container().get_container_properties()

    async def _days(self) -> int:
        should = self._target.retention_days
        if self._target.access.management is None:
            return should
        async with open_arm(self._target) as arm:
            found = await unread(arm.container())
        if isinstance(found, Unread) or found.policy is None:
            return should
        return found.policy.days

    async def remove_expired(self, name: str) -> bool:
        """See `ports.Disposer`."""
        check_name(name)
        with self._connection.errors(f"removing {name}"):
            if not await self._delete(name):
                return False
            if not await self._keeps_versions():
                return True
            gone = [await self._delete(name, each) for each in await self._versions(name)]
            return all(gone)

    async def _versions(self, name: str) -> list[str]:
        """Ids of the versions under the name, the newest first: the oldest is what counts."""
        blobs = self._connection.container().list_blobs(name_starts_with=name, include=["versions"])
        found = [str(blob.version_id) async for blob in blobs if blob.name == name]
        return sorted(found, reverse=True)

    async def _delete(self, name: str, version: str | None = None) -> bool:
        options: dict[str, Any] = {} if version is None else {"version_id": version}
        blob = self._connection.container().get_blob_client(name)
        try:
            await blob.delete_blob(**options)
        except ResourceNotFoundError as error:
            check_absent(error)
        except AzureError as error:
            if error_code(error) in _KEPT:
                return False
            raise
        return True

    async def close(self) -> None:
        """See `ports.Inventory`."""
        await self._connection.close()


def _kept(blob: BlobProperties, days: int | None, held: bool) -> Kept:
    created: datetime = blob.creation_time
    until = blob.immutability_policy.expiry_time if blob.immutability_policy else None
    if days is not None:
        until = created + timedelta(days=days)
    stored, ends = in_ms(created), None if until is None else in_ms(until)
    return Kept(
        name=blob.name, size=blob.size, stored_ms=stored, until_ms=ends,
        held=held or bool(blob.has_legal_hold), oldest_stored_ms=stored, oldest_until_ms=ends,
    )  # fmt: skip

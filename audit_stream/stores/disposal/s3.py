"""Disposal from an S3 bucket: the service refuses what its retention or a hold still keeps.

All that stands under a name goes, version by version and markers too, the oldest last: as long as
one is kept, the object is still what it was. Retention in governance mode is never bypassed. Needs
s3:DeleteObjectVersion, s3:GetObjectRetention and s3:GetObjectLegalHold, of which a writer has not
the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from audit_stream.ports import Kept
from audit_stream.stores.disposal.versions import both, in_ms, is_before
from audit_stream.stores.names import check_name, check_prefix
from audit_stream.stores.s3_client import Connection
from audit_stream.stores.s3_errors import ABSENT, DENIED, NO_LOCK, SDK_ERRORS, error_code
from audit_stream.stores.s3_protection import is_held, retention_of
from audit_stream.stores.s3_target import S3Target
from audit_stream.stores.s3_versions import Version, all_versions, standing

_ASKED = 1000  # versions that are asked about at a time
_LOOKED = timedelta(seconds=2)  # after a refusal; the service's clock is told in whole seconds


class S3Disposer:
    """`ports.Disposer` on one bucket."""

    def __init__(self, target: S3Target) -> None:
        self._target, self._connection = target, Connection(target)
        self._asking = asyncio.Semaphore(target.access.connections)

    @property
    def url(self) -> str:
        """``s3://bucket``."""
        return self._target.url

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.Inventory`. A request for a thousand versions."""
        check_prefix(prefix)
        found: list[str] = []
        size = _ASKED if limit is None else max(1, min(limit + 1, _ASKED))
        with self._connection.errors(f"listing {prefix or 'everything'}"):
            async for each in all_versions(self._connection, prefix, after, size):
                if limit is not None and len(found) >= limit:
                    break
                if not found or each.name != found[-1]:
                    found.append(each.name)
        return found

    async def kept(self, prefix: str, *, after: str = "", before: str = "") -> Sequence[Kept]:
        """See `ports.Inventory`. Of a name with several versions the longest word counts. Two
        requests a version: listings do not tell what keeps it."""
        check_prefix(prefix)
        with self._connection.errors(f"listing {prefix or 'everything'}"):
            locked = await self._has_lock()
            together: dict[str, Kept] = {}
            wanted = _until(before, all_versions(self._connection, prefix, after))
            async for some in _by(_ASKED, wanted):
                for kept in await asyncio.gather(*(self._kept(each, locked) for each in some)):
                    there = together.get(kept.name)
                    together[kept.name] = (  # of a name the newest come first
                        kept if there is None
                        else both(there, kept, older=kept.oldest_stored_ms is not None)
                    )  # fmt: skip
        return list(together.values())

    async def _kept(self, version: Version, locked: bool) -> Kept:
        until, held = None, False
        if locked and not version.marker:
            async with self._asking:
                until, held = await self._protected(version)
        stored, ends = in_ms(version.stored), None if until is None else in_ms(until)
        return Kept(
            name=version.name, size=version.size, stored_ms=stored, until_ms=ends, held=held,
            oldest_stored_ms=None if version.marker else stored, oldest_until_ms=ends,
        )  # fmt: skip

    async def _protected(self, version: Version) -> tuple[datetime | None, bool]:
        """Until when it is kept, and whether it is held."""
        try:
            kept = await retention_of(self._connection, version)
            return kept.get("RetainUntilDate"), await is_held(self._connection, version)
        except SDK_ERRORS as error:
            if error_code(error) in ABSENT:  # removed since it was listed
                return None, False
            raise

    async def _has_lock(self) -> bool:
        try:
            await self._connection.ask("get_object_lock_configuration")
        except SDK_ERRORS as error:
            if error_code(error) in NO_LOCK:
                return False
            raise
        return True

    async def remove_expired(self, name: str) -> bool:
        """See `ports.Disposer`."""
        check_name(name)
        with self._connection.errors(f"removing {name}"):
            found = [each async for each in standing(self._connection, name)]
            for each in sorted(found, key=lambda each: not each.marker):  # the oldest version last
                if not await self._remove(each):
                    return False
        return True

    async def _remove(self, version: Version) -> bool:
        try:
            await self._connection.ask("delete_object", Key=version.name, VersionId=version.id)
        except SDK_ERRORS as error:
            if error_code(error) in ABSENT:
                return True
            if error_code(error) == DENIED and await self._is_kept(version):
                return False
            raise
        return True

    async def _is_kept(self, version: Version) -> bool:
        """Whether a refusal was for the object's sake, and not for want of a right. By the
        service's clock, and also where the time was over between the refusal and this look."""
        if version.marker:
            return False
        if await is_held(self._connection, version):
            return True
        until = (await retention_of(self._connection, version)).get("RetainUntilDate")
        now = datetime.now(UTC) - timedelta(seconds=self._connection.skew_seconds or 0.0)
        return until is not None and until > now - _LOOKED

    async def close(self) -> None:
        """See `ports.Inventory`."""
        await self._connection.close()


async def _until(before: str, versions: AsyncIterator[Version]) -> AsyncIterator[Version]:
    is_wanted = is_before(before)
    async for each in versions:
        if not is_wanted(each.name):
            return
        yield each


async def _by(count: int, versions: AsyncIterator[Version]) -> AsyncIterator[list[Version]]:
    """So many at a time: a partition has millions."""
    some: list[Version] = []
    async for each in versions:
        some.append(each)
        if len(some) == count:
            yield some
            some = []
    yield some

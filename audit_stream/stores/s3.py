"""The archive in an S3 bucket: one conditional PutObject per object, kept in compliance mode.

S3 lets whoever may write put another version, or a delete marker, in front of an object. So the
oldest version is the object, in every call: a put counts only once it is seen to be the oldest, and
reads ask for it by its id. The SDK's retries are off (`stores.retry` has ours); every conflict or
doubt is settled by looking and comparing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.ports import HoldLevel, PutResult
from audit_stream.posture import Posture
from audit_stream.stores.names import check_body, check_name, check_prefix
from audit_stream.stores.s3_client import Connection
from audit_stream.stores.s3_errors import (
    ABSENT,
    CONDITION_FAILED,
    DENIED,
    NO_LOCK,
    SDK_ERRORS,
    doubt,
    error_code,
    is_ambiguous,
    no_answer,
)
from audit_stream.stores.s3_judge import judge_archive
from audit_stream.stores.s3_protection import COMPLIANCE, checksum, is_held, retention_of
from audit_stream.stores.s3_survey import survey_archive
from audit_stream.stores.s3_target import S3Target
from audit_stream.stores.s3_versions import Version, list_names, oldest_version
from audit_stream.stores.settling import still_unclear

#: Signed requests are refused when our clock is off by more: dates of ours are never earlier.
_SKEW = timedelta(minutes=15)


class S3Store:
    """`ports.WormStore` on one bucket. Bodies are one request each: 5 GB at most.

    `now`: Unix seconds, for the dates until which objects are kept.
    """

    def __init__(
        self, target: S3Target, read_only: bool = False, now: Callable[[], float] = time.time
    ) -> None:
        self._target = target
        self._read_only = read_only
        self._now = now
        self._connection = Connection(target)
        self._locks = False  # Object Lock was seen: it cannot be turned off

    @property
    def url(self) -> str:
        """``s3://bucket``."""
        return self._target.url

    async def put_if_absent(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        """See `ports.WormStore`. One PUT and one look at what is the oldest under the name.

        The look is needed also after a success: behind a delete marker S3 takes the name for free.
        """
        check_name(name)
        check_body(name, data)
        if self._read_only:
            raise StoreRefused(f"cannot store {name}: the store was opened read-only")
        put = await self._put(name, data, metadata)
        try:
            oldest = await self._oldest(name)
        except StoreTransient as error:
            if isinstance(put, str):
                raise  # unknown: the caller puts the same bytes again, which settles it
            raise still_unclear(put, error) from error
        if oldest is None:
            raise put if isinstance(put, StoreTransient) else _unlisted(name)
        if oldest.id == put or await self._is(name, oldest, data):
            return PutResult.STORED
        return PutResult.EXISTS

    async def _put(
        self, name: str, data: bytes, metadata: Mapping[str, str]
    ) -> str | StoreTransient:
        """Store; the new version's id when the service said so, "" where it named none, else what
        left it in doubt."""
        with self._connection.errors(f"storing {name}"):
            kept = self._kept() if await self._has_lock() else {}
            try:
                answer = await self._connection.ask(
                    "put_object", Key=name, Body=data, IfNoneMatch="*", **checksum(data), **kept,
                    Metadata={**metadata, "sha256": sha256(data).hexdigest()},
                )  # fmt: skip
            except SDK_ERRORS as error:
                code = error_code(error)
                if code in CONDITION_FAILED:
                    return StoreTransient(f"{name} is taken ({code})")
                if is_ambiguous(error):
                    return doubt(f"storing {name}", error)
                raise
        return str(answer.get("VersionId", ""))

    def _kept(self) -> dict[str, Any]:
        until = datetime.fromtimestamp(self._now(), UTC) + _SKEW
        return {
            "ObjectLockMode": COMPLIANCE,
            "ObjectLockRetainUntilDate": until + timedelta(days=self._target.retention_days),
        }

    async def _has_lock(self) -> bool:
        """Whether the bucket has Object Lock. No only where it says so: what is put without a
        retention is never given one, and a bucket without the lock refuses those that bring one.
        Asked again until it has: it may be turned on."""
        if not self._locks:
            try:
                found = await self._connection.ask("get_object_lock_configuration")
            except SDK_ERRORS as error:
                if error_code(error) not in {*NO_LOCK, DENIED}:
                    raise
                return error_code(error) == DENIED
            state = found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled")
            self._locks = state == "Enabled"
        return True

    async def _is(self, name: str, version: Version, data: bytes) -> bool:
        """Whether a version is these bytes; what metadata say of them is their writer's word."""
        return version.size == len(data) and await self._read(name, version) == data

    async def get(self, name: str) -> bytes | None:
        """See `ports.WormStore`. Two requests: which version is the oldest, and its bytes."""
        check_name(name)
        oldest = await self._oldest(name)
        return None if oldest is None else await self._read(name, oldest)

    async def _read(self, name: str, version: Version) -> bytes | None:
        with self._connection.errors(f"reading {name}"):
            try:
                answer = await self._connection.ask(
                    "get_object", Key=name, VersionId=version.id, ChecksumMode="ENABLED"
                )
            except SDK_ERRORS as error:
                if error_code(error) in ABSENT:  # its time was over, and it was disposed of
                    return None
                raise
        data = bytes(answer["Body"])
        if len(data) != version.size:
            raise no_answer(f"reading {name}")
        return data

    async def _oldest(self, name: str) -> Version | None:
        with self._connection.errors(f"looking at {name}"):
            return await oldest_version(self._connection, name)

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.WormStore`."""
        check_prefix(prefix)
        with self._connection.errors(f"listing {prefix or 'everything'}"):
            return await list_names(self._connection, prefix, after, limit)

    async def extend_retention(self, name: str, until_ms: int) -> None:
        """See `ports.WormStore`; only buckets with Object Lock have it."""
        version = await self._protectable(name, "retention")
        until = datetime.fromtimestamp(-(-until_ms // 1000), UTC)
        with self._connection.errors(f"extending the retention of {name}"):
            standing = await retention_of(self._connection, version)
            until = max(until, standing.get("RetainUntilDate", until))
            if standing == {"Mode": COMPLIANCE, "RetainUntilDate": until}:
                return
            await self._connection.ask(
                "put_object_retention", Key=name, VersionId=version.id,
                Retention={"Mode": COMPLIANCE, "RetainUntilDate": until},
            )  # fmt: skip

    async def set_hold(self, name: str, held: bool) -> None:
        """See `ports.WormStore`; only buckets with Object Lock have it."""
        version = await self._protectable(name, "holds")
        with self._connection.errors(f"setting the hold of {name}"):
            await self._connection.ask(
                "put_object_legal_hold", Key=name, VersionId=version.id,
                LegalHold={"Status": "ON" if held else "OFF"},
            )  # fmt: skip

    async def held(self, name: str) -> bool | None:
        """See `ports.WormStore`; of the version that counts."""
        if await self.hold_level() is not HoldLevel.OBJECT:
            check_name(name)
            return None
        version = await self._protectable(name, "holds")
        with self._connection.errors(f"looking at the hold of {name}"):
            return await is_held(self._connection, version)

    async def hold_level(self) -> HoldLevel:
        """See `ports.WormStore`: without Object Lock nothing can be held."""
        with self._connection.errors("looking at the bucket"):
            return HoldLevel.OBJECT if await self._has_lock() else HoldLevel.NONE

    async def _protectable(self, name: str, what: str) -> Version:
        check_name(name)
        if await self.hold_level() is not HoldLevel.OBJECT:
            raise StoreRefused(f"{self.url} has no {what}: its Object Lock is off")
        found = await self._oldest(name)
        if found is None:
            raise StoreRefused(f"there is no object {name}")
        return found

    async def posture(self) -> Posture:
        """See `ports.WormStore`. `worm_locked` takes an object seen in compliance mode, and a
        canary that withstood us."""
        store = None if self._read_only else self
        return judge_archive(await survey_archive(self._connection, self._target, store))

    async def close(self) -> None:
        """See `ports.WormStore`."""
        await self._connection.close()


def _unlisted(name: str) -> StoreTransient:
    return StoreTransient(
        f"{name} was stored and is not listed",
        hint="the service's listings are not strongly consistent: it cannot hold an archive",
    )

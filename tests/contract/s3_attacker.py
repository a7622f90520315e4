"""A bucket under test: handles on it, and what the writer's own key can do past them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from audit_stream.stores.s3 import S3Store
from audit_stream.stores.s3_target import S3Access, S3Keys, S3Target
from tests.contract.worm_store_contract import Attack, Standing, Target, WormStoreContract
from tests.support.cutting_proxy import CuttingProxy
from tests.support.versitygw import ROOT, S3Server

DAYS = 400


class BucketTarget(Target):
    """A bucket of its own; `proxied` goes through a proxy that can cut connections."""

    settles_lost_answers = True

    def __init__(self, server: S3Server, keys: S3Keys = ROOT, *, locked: bool = True) -> None:
        self.server, self.keys, self.bucket = server, keys, f"t{uuid.uuid4().hex}"
        server.create_bucket(self.bucket, locked=locked)
        self.at = self.target(server.access(keys))
        self.client = server.admin if keys is ROOT else server.client(keys)
        self.proxy = CuttingProxy(int(server.url.rpartition(":")[2]))
        self.handles: list[S3Store] = []

    def target(self, access: S3Access, days: int = DAYS) -> S3Target:
        return S3Target(bucket=self.bucket, access=access, retention_days=days)

    async def proxied(self) -> None:
        port = await self.proxy.start()
        endpoint = f"http://127.0.0.1:{port}"
        self.at = self.target(self.server.access(self.keys, endpoint=endpoint))

    def open(
        self, *, read_only: bool = False, now: Callable[[], float] = time.time
    ) -> S3Store:  # fmt: skip
        self.handles.append(S3Store(self.at, read_only, now))
        return self.handles[-1]

    async def close(self) -> None:
        for handle in self.handles:
            await handle.close()
        await self.proxy.stop()

    def fail_next_put(self, stored: bool) -> None:
        self.proxy.cut = "after" if stored else "before"

    async def attack(self, attack: Attack, name: str) -> None:
        with suppress(ClientError):
            await asyncio.to_thread(self._attempt, attack, name)

    def _attempt(self, attack: Attack, name: str) -> None:
        at = {"Bucket": self.bucket, "Key": name}
        oldest = self.oldest(name)["VersionId"]
        match attack:
            case "overwrite":
                self.client.put_object(**at, Body=b"other")
            case "delete":
                self.client.delete_object(**at)
                self.client.delete_object(**at, VersionId=oldest)
            case "metadata":  # S3 changes metadata by a copy, which is another version
                source = {"Bucket": self.bucket, "Key": name, "VersionId": oldest}
                self.client.copy_object(
                    **at, CopySource=source, MetadataDirective="REPLACE",
                    Metadata={"legal_hold": "false"},
                )  # fmt: skip
            case "shorten":
                earlier = datetime(2027, 2, 1, tzinfo=UTC)
                self.client.put_object_retention(
                    **at,
                    VersionId=oldest,
                    Retention={"Mode": "COMPLIANCE", "RetainUntilDate": earlier},
                )

    def oldest(self, name: str) -> dict[str, Any]:
        """Of the versions that the server has, past our own listing."""
        found = self.client.list_object_versions(Bucket=self.bucket, Prefix=name)
        return [each for each in found["Versions"] if each["Key"] == name][-1]  # type: ignore[no-any-return]

    async def standing(self, name: str) -> Standing:
        return await asyncio.to_thread(self._standing, name)

    def _standing(self, name: str) -> Standing:
        at = {"Bucket": self.bucket, "Key": name, "VersionId": self.oldest(name)["VersionId"]}
        found = self.client.get_object(**at)
        return Standing(
            data=found["Body"].read(), metadata=found["Metadata"],
            retained_until=self._until(at, found),
        )  # fmt: skip

    def _until(self, at: dict[str, Any], found: dict[str, Any]) -> int | None:
        """Not every server tells with the object, nor every one when it is asked."""
        until: datetime | None = found.get("ObjectLockRetainUntilDate")
        if until is None:
            until = self.client.get_object_retention(**at)["Retention"]["RetainUntilDate"]
        return None if until is None else int(until.timestamp())


class S3Contract(WormStoreContract):
    """The contract, over a line that can be cut, and with fewer names to race for: a put is four
    requests of the SDK's, not a system call."""

    raced: Sequence[str] = [f"race/{i % 3}/{i:03d}" for i in range(4)]

"""An account's state, the checks that a request passes, and the change it makes in the end.

The order of the checks is the service's: the container exists, the identity may, the condition
holds, immutability allows. `mutable` makes the double enforce none of the last three, as an
emulator does that takes the headers and ignores them, and keep no versions: a suite that still
passes against it has proved nothing.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from typing import Literal

from tests.support.blobs import access, rules
from tests.support.blobs.model import (
    DAY,
    ApiError,
    Blob,
    Call,
    Clock,
    Container,
    Kind,
    Policy,
    Upload,
    Version,
)

Conflict = Literal[
    "BlobAlreadyExists", "BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold",
    "ConditionNotMet",
]  # fmt: skip


class Account:
    """One storage account: `containers`, the `clock`, the identities and the switches."""

    def __init__(self, now: int = 1_800_000_000) -> None:
        self.clock = Clock(now)
        self.access = access.Access()
        self.containers: dict[str, Container] = {}
        self.mutable = False
        self.conflict: Conflict = "BlobAlreadyExists"  # what If-None-Match:* answers
        # Rule 9: that it is an error is known, which one is not.
        self.unsupported_policy = ApiError(400, "UnsupportedHeader")
        self.page_limit = 5000
        self._count = 0

    def add_container(
        self,
        name: str,
        kind: Kind = "plain",
        *,
        days: int | None = None,
        locked: bool = True,
        append: bool = False,
    ) -> Container:
        """Provision a container; `days` is its retention, or the default one of its versions."""
        container = Container(name, kind, days, locked, append)
        self.containers[name] = container
        return container

    # The checks, in their order

    def _container(self, call: Call) -> Container:
        if call.container not in self.containers:
            raise ApiError(404, "ContainerNotFound")
        return self.containers[call.container]

    def _rights(self, call: Call) -> access.Rights:
        return self.access.rights(call.sig, call.authorization, call.delegated)

    def _enter(self, call: Call, any_of: str) -> Container:
        container = self._container(call)
        if not self.mutable:
            access.allow(self._rights(call), any_of)
        return container

    def _open(self, call: Call, any_of: str) -> tuple[Container, Version]:
        container = self._enter(call, any_of)
        version = self._find(container, call)
        if not self.mutable and call.if_match not in (None, "*", version.etag):
            raise ApiError(412, "ConditionNotMet")
        return container, version

    def _find(self, container: Container, call: Call) -> Version:
        blob = container.blobs.get(call.name, Blob())
        found = [blob.current] if blob.current else []
        if call.version_id is not None:
            found = [each for each in blob.versions() if each.version_id == call.version_id]
        elif call.snapshot is not None:
            found = [each for each in blob.snapshots if each.snapshot == call.snapshot]
        if not found:
            raise ApiError(404, "BlobNotFound")
        return found[0]

    def _versioned(self, call: Call) -> Version:
        container, version = self._open(call, "i")
        if container.kind != "vlw" and not self.mutable:
            raise self.unsupported_policy
        return version

    def _may_put(self, call: Call, upload: Upload) -> Container:
        container = self._container(call)
        if self.mutable:
            return container
        current = container.blobs.get(call.name, Blob()).current
        protects = upload.policy is not None or upload.hold is not None
        rights = self._rights(call)
        access.allow_put(rights, exists=current is not None)
        if protects and container.kind == "vlw":
            access.allow(rights, "i")
        self._check_condition(call, current)
        if protects and container.kind != "vlw":
            raise self.unsupported_policy
        if upload.policy is not None:
            rules.guard_date(upload.policy, self.clock.now)
        if current is not None:
            rules.guard_overwrite(container)
        return container

    def _check_condition(self, call: Call, current: Version | None) -> None:
        etag = current.etag if current else None
        if call.if_none_match == "*" and current is not None:
            raise ApiError(412 if self.conflict == "ConditionNotMet" else 409, self.conflict)
        if call.if_none_match is not None and call.if_none_match == etag:
            raise ApiError(412, "ConditionNotMet")
        if call.if_match is not None and (etag is None or call.if_match not in ("*", etag)):
            raise ApiError(412, "ConditionNotMet")

    # The changes

    def _commit(self, container: Container, name: str, upload: Upload) -> Version:
        content = dict(upload.content)
        if upload.blob_type == "BlockBlob":
            content.setdefault("Content-MD5", md5(upload.body))
        now = self.clock.now
        version = Version(
            name, "", "", upload.body, now, now, now, upload.blob_type,
            content, dict(upload.metadata), hold=bool(upload.hold), tier=upload.tier,
        )  # fmt: skip
        return self._add(container, version, upload.policy or default_policy(container, now))

    def _add(self, container: Container, version: Version, policy: Policy | None) -> Version:
        version.version_id, version.policy = self._stamp(), policy
        blob = container.blobs.setdefault(version.name, Blob())
        if blob.current is not None and container.kind == "vlw" and not self.mutable:
            blob.previous.append(blob.current)
        blob.current = self._touch(version)
        return version

    def _touch(self, version: Version) -> Version:
        self._count += 1
        version.etag, version.modified = f'"0x{self._count:016X}"', self.clock.now
        return version

    def _stamp(self) -> str:
        """A version's or snapshot's id: a time, unique and rising."""
        self._count += 1
        time = datetime.fromtimestamp(self.clock.now, UTC)
        return f"{time:%Y-%m-%dT%H:%M:%S}.{self._count:07d}Z"


def default_policy(container: Container, now: int) -> Policy | None:
    """What a new version gets from its container."""
    if container.kind != "vlw" or container.days is None:
        return None
    return Policy(now + container.days * DAY, "locked" if container.locked else "unlocked")


def md5(body: bytes) -> str:
    """As in a Content-MD5 header."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def checked(upload: Upload) -> None:
    """Refuse a body that arrived otherwise than it was sent."""
    if upload.md5 is not None and upload.md5 != md5(upload.body):
        raise ApiError(400, "Md5Mismatch")

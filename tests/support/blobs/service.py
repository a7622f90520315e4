"""The operations, without HTTP: each passes the checks of `account` and the rules, then acts."""

from __future__ import annotations

from dataclasses import replace

from tests.support.blobs import access, rules
from tests.support.blobs.account import Account, checked, default_policy
from tests.support.blobs.model import ApiError, Blob, Call, Container, Policy, Upload, Version


class BlobService(Account):
    """The Blob service of one account."""

    # Containers

    def create_container(self, call: Call) -> Container:
        """Create Container: always a plain one, as policies are set on the management plane."""
        if not self.mutable:
            access.allow(self._rights(call), "w")
        if call.container in self.containers:
            raise ApiError(409, "ContainerAlreadyExists")
        return self.add_container(call.container)

    def delete_container(self, call: Call) -> None:
        """Delete Container."""
        container = self._enter(call, "d")
        if not self.mutable:
            rules.guard_container_delete(container)
        del self.containers[call.container]

    def container(self, call: Call) -> Container:
        """Get Container Properties."""
        return self._enter(call, "r")

    def list_blobs(self, call: Call, prefix: str, include: frozenset[str]) -> list[Version]:
        """List Blobs, before it is cut into pages: by name, then oldest first."""
        container = self._enter(call, "l")
        found: list[Version] = []
        for name in sorted(n for n in container.blobs if n.startswith(prefix)):
            blob = container.blobs[name]
            found += blob.snapshots if "snapshots" in include else []
            if "versions" in include:
                found += blob.versions()
            elif blob.current is not None:
                found.append(blob.current)
        return found

    # Writing

    def put(self, call: Call, upload: Upload) -> Version:
        """Put Blob, or an append blob's creation: rules 1 to 4, 9, 10, 17 to 19."""
        container = self._may_put(call, upload)
        checked(upload)
        return self._commit(container, call.name, upload)

    def put_block(self, call: Call, block_id: str, upload: Upload) -> None:
        """Put Block: harmless to what is committed, and refused to who may only create."""
        container = self._enter(call, "w")
        checked(upload)
        container.blobs.setdefault(call.name, Blob()).staged[block_id] = upload.body

    def put_block_list(self, call: Call, ids: list[str], upload: Upload) -> Version:
        """Put Block List."""
        self._enter(call, "w")
        container = self._may_put(call, upload)
        staged = container.blobs.get(call.name, Blob()).staged
        if not set(ids) <= set(staged):
            raise ApiError(400, "InvalidBlockList")
        body = b"".join(staged[block_id] for block_id in ids)
        staged.clear()
        return self._commit(container, call.name, replace(upload, body=body))

    def copy(self, call: Call, source: Call, upload: Upload) -> Version:
        """Copy Blob within the account, done when it answers."""
        container = self._may_put(call, upload)
        origin = self._find(self._container(source), source)
        metadata = upload.metadata or dict(origin.metadata)
        content = dict(origin.content)
        new = replace(upload, body=origin.body, metadata=metadata, content=content)
        return self._commit(container, call.name, new)

    def append(self, call: Call, upload: Upload, position: int | None) -> Version:
        """Append Block: rule 7; what it adds is retained from now on."""
        container, version = self._open(call, "aw")
        if version.blob_type != "AppendBlob":
            raise ApiError(409, "InvalidBlobType")
        if position is not None and position != len(version.body):
            raise ApiError(412, "AppendPositionConditionNotMet")
        if not self.mutable:
            rules.guard_append(container, version, self.clock.now)
        checked(upload)
        version.body += upload.body
        version.blocks += 1
        version.retained_from = self.clock.now
        version.content.pop("Content-MD5", None)
        return self._touch(version)

    def set_metadata(self, call: Call, metadata: dict[str, str]) -> Version:
        """Set Blob Metadata: rules 5, 6, 11. Where there are versions it makes a new one."""
        container, version = self._open(call, "w")
        if not self.mutable:
            rules.guard_metadata(container, version)
            if container.kind == "vlw":
                changed = replace(version, metadata=metadata)
                return self._add(container, changed, default_policy(container, self.clock.now))
        version.metadata = metadata
        return self._touch(version)

    def set_properties(self, call: Call, content: dict[str, str]) -> Version:
        """Set Blob Properties: rules 5 and 6."""
        container, version = self._open(call, "w")
        if not self.mutable:
            rules.guard_properties(container, version, self.clock.now)
        version.content = content
        return self._touch(version)

    def put_page(self, call: Call) -> None:
        """Put Page, as far as rule 5 goes: there are no page blobs here."""
        container, version = self._open(call, "w")
        if not self.mutable:
            rules.guard_properties(container, version, self.clock.now)
        raise ApiError(409, "InvalidBlobType")

    def snapshot(self, call: Call, metadata: dict[str, str]) -> Version:
        """Snapshot Blob: refused where a container's policy or hold stands."""
        container, version = self._open(call, "cw")
        if not self.mutable:
            rules.guard_overwrite(container)
        stamp = self._stamp()
        shot = replace(version, snapshot=stamp, metadata=metadata or dict(version.metadata))
        container.blobs[call.name].snapshots.append(shot)
        return shot

    def delete(self, call: Call) -> None:
        """Delete Blob: rules 5, 6, 11 to 13, 20."""
        container, version = self._open(call, "d")
        blob = container.blobs[call.name]
        if not self.mutable:
            if call.version_id is not None and version is blob.current:
                raise ApiError(403, "OperationNotAllowedOnRootBlob")
            rules.guard_delete(container, version, self.clock.now)
        if call.snapshot is not None:
            blob.snapshots.remove(version)
        elif version is not blob.current:
            blob.previous.remove(version)
        else:
            keeps = container.kind == "vlw" and not self.mutable
            blob.previous += [version] if keeps else []
            blob.current = None

    # Protection of one version

    def set_policy(self, call: Call, policy: Policy) -> Version:
        """Set Blob Immutability Policy: rules 9, 14, 17, 19. The ETag stays."""
        version = self._versioned(call)
        if not self.mutable:
            rules.guard_date(policy, self.clock.now)
            rules.guard_policy_change(version, policy)
        version.policy = policy
        return version

    def delete_policy(self, call: Call) -> Version:
        """Delete Blob Immutability Policy: rule 15."""
        version = self._versioned(call)
        if not self.mutable:
            rules.guard_policy_delete(version)
        version.policy = None
        return version

    def set_hold(self, call: Call, *, on: bool) -> Version:
        """Set Blob Legal Hold."""
        version = self._versioned(call)
        version.hold = on
        return version

    def set_tier(self, call: Call, tier: str) -> Version:
        """Set Blob Tier: rule 21, no protection forbids it."""
        _, version = self._open(call, "w")
        version.tier = tier
        return version

    def set_tags(self, call: Call) -> None:
        """Set Blob Tags: no protection forbids it. They are not kept: nothing here reads them."""
        self._open(call, "w")

    # Reading

    def head(self, call: Call) -> Version:
        """Get Blob Properties: of archived ones too."""
        return self._open(call, "r")[1]

    def read(self, call: Call) -> Version:
        """Get Blob."""
        version = self.head(call)
        if version.tier == "Archive" and not self.mutable:
            raise ApiError(409, "BlobArchived")
        return version

"""What is known of an Azure container and its account: plain facts, read from ARM's JSON.

Shapes: Microsoft.Storage REST 2024-01-01 (storageAccounts, blobServices, containers) and
Microsoft.Authorization 2022-04-01. What could not be read is an `Unread`, never a default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from audit_stream.stores.azure_roles import powers
from audit_stream.stores.observed import Attempt, Unread

EXTENSIONS = 5  # of a container's locked policy, in its lifetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The time-based retention policy of a container, or the default one of its versions."""

    locked: bool
    days: int
    append: bool = False  # new blocks to append blobs
    append_all: bool = False  # to block blobs, too
    extended: int = 0  # times since it was locked; Azure allows five
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container, as the management plane tells it."""

    policy: Policy | None
    versioned: bool  # version-level immutability
    holds: tuple[str, ...] = ()
    public: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A storage account."""

    redundancy: str  # e.g. Standard_RAGZRS
    minimum_tls: str  # e.g. TLS1_2
    https_only: bool
    shared_key: bool
    public_blobs: bool
    public_network: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobService:
    """What the account's blob service keeps beside the current state."""

    versioning: bool
    soft_delete_days: int | None  # None: off
    container_soft_delete_days: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A role assignment whose role can remove, overwrite, or give itself the right to."""

    principal: str
    kind: str  # User, Group, ServicePrincipal
    role: str
    scope: str
    powers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """What the data plane says of the container, and of the way to it."""

    https: bool
    has_policy: bool
    versioned: bool
    held: bool = False
    tls: str | None = None  # as negotiated, e.g. TLSv1.3
    skew_seconds: float | None = None  # our clock minus the service's


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """How the canary itself is retained, where each version has a policy."""

    locked: bool
    days: float  # from its creation


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFacts:
    """All that is known of an archive's container."""

    target_days: int  # what the retention should be
    plane: Plane
    canary: tuple[Attempt, ...] | Unread
    retained: Retained | None = None  # of the canary; None without version-level immutability
    container: Container | Unread
    account: Account | Unread
    service: BlobService | Unread
    grants: tuple[Grant, ...] | Unread


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectsFacts:
    """All that is known of the container of the subject objects."""

    plane: Plane
    service: BlobService | Unread


Json = Mapping[str, Any]


def container_of(document: Json) -> Container:
    """From GET …/containers/{name}."""
    found = document.get("properties") or {}
    hold = found.get("legalHold") or {}
    return Container(
        policy=policy_of(found.get("immutabilityPolicy") or {}),
        versioned=bool((found.get("immutableStorageWithVersioning") or {}).get("enabled")),
        holds=tuple(str(tag.get("tag", "")) for tag in hold.get("tags") or ()),
        public=str(found.get("publicAccess") or "None") != "None",
    )


def policy_of(document: Json) -> Policy | None:
    """From GET …/immutabilityPolicies/default, or a container's `immutabilityPolicy`."""
    found = document.get("properties") or {}
    days = int(found.get("immutabilityPeriodSinceCreationInDays") or 0)
    if not days:
        return None
    history = document.get("updateHistory") or ()
    return Policy(
        locked=found.get("state") == "Locked", days=days,
        append=bool(found.get("allowProtectedAppendWrites")),
        append_all=bool(found.get("allowProtectedAppendWritesAll")),
        extended=sum(change.get("update") == "extend" for change in history),
        etag=str(document.get("etag") or ""),
    )  # fmt: skip


def account_of(document: Json) -> Account:
    """From GET …/storageAccounts/{name}. A switch that is not named has Azure's default."""
    found = document.get("properties") or {}
    return Account(
        redundancy=str((document.get("sku") or {}).get("name", "unknown")),
        minimum_tls=str(found.get("minimumTlsVersion") or "TLS1_0"),
        https_only=bool(found.get("supportsHttpsTrafficOnly")),
        shared_key=found.get("allowSharedKeyAccess") is not False,
        public_blobs=found.get("allowBlobPublicAccess") is not False,
        public_network=found.get("publicNetworkAccess") not in ("Disabled", "SecuredByPerimeter"),
    )


def service_of(document: Json) -> BlobService:
    """From GET …/blobServices/default."""
    found = document.get("properties") or {}
    return BlobService(
        versioning=bool(found.get("isVersioningEnabled")),
        soft_delete_days=_retention(found.get("deleteRetentionPolicy")),
        container_soft_delete_days=_retention(found.get("containerDeleteRetentionPolicy")),
    )


def grants_of(assignments: Iterable[Json], roles: Mapping[str, Json]) -> tuple[Grant, ...]:
    """Role assignments with the roles by definition id; those without such powers are left out."""
    found = (
        _grant(given, roles[str(given["roleDefinitionId"])].get("properties") or {})
        for given in (assignment["properties"] for assignment in assignments)
    )
    return tuple(grant for grant in found if grant.powers)


def _grant(given: Json, role: Json) -> Grant:
    return Grant(
        principal=str(given.get("principalId", "")), kind=str(given.get("principalType", "")),
        role=str(role.get("roleName", "")), scope=str(given.get("scope", "")),
        powers=powers(role.get("permissions") or ()),
    )  # fmt: skip


def _retention(policy: Json | None) -> int | None:
    if not policy or not policy.get("enabled"):
        return None
    return int(policy.get("days") or 0)

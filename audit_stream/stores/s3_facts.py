"""What is known of an S3 bucket: plain facts. What could not be read is an `Unread`, never a
default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit_stream.stores.observed import Attempt, Unread


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The way to the service."""

    https: bool
    amazon: bool  # else a service that is compatible with S3
    tls: str | None = None  # as negotiated, e.g. TLSv1.3
    skew_seconds: float | None = None  # our clock minus the service's


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A bucket's Object Lock, and what it gives to objects that bring no retention of their own."""

    enabled: bool
    mode: str = ""  # COMPLIANCE, GOVERNANCE; empty: no default
    days: int = 0  # a year counts as 365, as S3 counts it


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioning:
    """Whether a bucket keeps versions."""

    status: str  # Enabled, Suspended; empty: never had them
    mfa_delete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """How a stored object is kept: the canary's oldest version."""

    mode: str  # empty: not at all
    days: float = 0.0  # from when it was stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a bucket's policy denies to everybody or to some."""

    needs_condition: bool = False  # puts without If-None-Match
    denies_removal: bool = False  # DeleteObject, DeleteObjectVersion
    needs_tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFacts:
    """All that is known of an archive's bucket."""

    target_days: int  # how long what is stored should be kept
    way: Way
    lock: Lock | Unread
    versioning: Versioning | Unread
    canary: tuple[Attempt, ...] | Unread
    retained: Retained | Unread
    policy: Policy | Unread
    public: bool | Unread  # whether anything but the owner's own grants could open it
    expires: bool | Unread  # whether a lifecycle rule removes objects once their time is over


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectsFacts:
    """All that is known of the bucket of the subject objects."""

    way: Way
    lock: Lock | Unread
    versioning: Versioning | Unread
    replicated: bool | Unread
    conditions: tuple[Attempt, ...] | Unread  # a rewrite and a removal under a wrong entity tag


Json = Mapping[str, Any]


def lock_of(answer: Json) -> Lock:
    """From GetObjectLockConfiguration."""
    found = answer.get("ObjectLockConfiguration") or {}
    default = (found.get("Rule") or {}).get("DefaultRetention") or {}
    days = int(default.get("Days") or 0) + 365 * int(default.get("Years") or 0)
    enabled = found.get("ObjectLockEnabled") == "Enabled"
    return Lock(enabled=enabled, mode=str(default.get("Mode") or ""), days=days)


def versioning_of(answer: Json) -> Versioning:
    """From GetBucketVersioning."""
    return Versioning(
        status=str(answer.get("Status") or ""), mfa_delete=answer.get("MFADelete") == "Enabled"
    )


def open_to_public(answer: Json) -> bool:
    """From GetPublicAccessBlock: whether one of its four switches is off."""
    found = answer.get("PublicAccessBlockConfiguration") or {}
    switches = (
        "BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets",
    )  # fmt: skip
    return not all(found.get(switch) for switch in switches)


def expires(answer: Json) -> bool:
    """From GetBucketLifecycleConfiguration: whether a rule that is on removes objects."""
    return any(
        rule.get("Status") == "Enabled"
        and ("Expiration" in rule or "NoncurrentVersionExpiration" in rule)
        for rule in answer.get("Rules") or ()
    )


def policy_of(text: str) -> Policy:
    """From GetBucketPolicy's document; a statement counts by what it denies."""
    try:
        document = json.loads(text)
    except ValueError:
        return Policy()
    denied = [each for each in _several(document.get("Statement")) if each.get("Effect") == "Deny"]
    tls = [each for each in denied if "aws:securetransport" in _condition(each)]
    old_tls = [each for each in denied if "s3:tlsversion" in _condition(each)]
    others = [each for each in denied if each not in (*tls, *old_tls)]
    return Policy(
        needs_condition=any(
            "s3:if-none-match" in _condition(each) and _covers(each, "s3:putobject")
            for each in others
        ),
        denies_removal=all(
            any(_covers(each, action) for each in others)
            for action in ("s3:deleteobject", "s3:deleteobjectversion")
        ),
        needs_tls=bool(tls),
    )


def _condition(statement: Json) -> str:
    return json.dumps(statement.get("Condition") or {}).lower()


def _covers(statement: Json, action: str) -> bool:
    return any(
        action == each or (each.endswith("*") and action.startswith(each[:-1]))
        for each in _actions(statement)
    )


def _actions(statement: Json) -> list[str]:
    return [str(each).lower() for each in _several(statement.get("Action"))]


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]

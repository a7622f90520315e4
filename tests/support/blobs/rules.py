"""What immutability refuses. A function raises `ApiError` or lets the request pass.

A legal hold is named before a policy where both stand. An unlocked policy protects like a locked
one; it can be changed, that is all.
"""

from __future__ import annotations

from tests.support.blobs.model import DAY, ApiError, Container, Policy, Version


def due_to_hold() -> ApiError:
    """The answer where a legal hold refuses."""
    return ApiError(409, "BlobImmutableDueToLegalHold")


def due_to_policy() -> ApiError:
    """The answer where a retention refuses."""
    return ApiError(409, "BlobImmutableDueToPolicy")


def retained(container: Container, version: Version, now: int) -> bool:
    """Whether the retention of a version still runs."""
    if container.kind == "clw" and container.days is not None:
        return now < version.retained_from + container.days * DAY
    return version.policy is not None and now < version.policy.until


def guard_overwrite(container: Container) -> None:
    """Rule 4; and of rules 5 and 6, what a container refuses for ever. Rule 10 lets a version
    be overwritten, so its own protection does not count here."""
    if container.holds:
        raise due_to_hold()
    if container.immutable:
        raise due_to_policy()


def guard_metadata(container: Container, version: Version) -> None:
    """Rules 5, 6, 11: metadata stay as they are even after the retention has ended."""
    guard_overwrite(container)
    if version.hold:
        raise due_to_hold()
    if version.policy is not None:
        raise due_to_policy()


def guard_properties(container: Container, version: Version, now: int) -> None:
    """Rules 5 and 6; a version's properties are free again once it is not protected."""
    guard_overwrite(container)
    guard_delete(container, version, now)


def guard_delete(container: Container, version: Version, now: int) -> None:
    """Rules 5, 6, 11, 13, 20: hold and retention must both be clear."""
    if container.holds or version.hold:
        raise due_to_hold()
    if retained(container, version, now):
        raise due_to_policy()


def guard_append(container: Container, version: Version, now: int) -> None:
    """Rule 7."""
    if container.immutable and container.append and not container.holds:
        return
    guard_properties(container, version, now)


def guard_container_delete(container: Container) -> None:
    """Rules 8 and 16."""
    if container.holds:
        raise ApiError(409, "ContainerHasLegalHold")
    if container.immutable:
        raise ApiError(409, "ContainerImmutabilityPolicyLocked")
    if container.kind == "vlw":
        raise ApiError(409, "ContainerImmutableStorageWithVersioningEnabled")


def guard_date(policy: Policy, now: int) -> None:
    """Rule 17."""
    if policy.until <= now:
        raise ApiError(400, "InvalidHeaderValue")


def guard_policy_change(version: Version, policy: Policy) -> None:
    """Rule 14: a locked policy can only grow. A hold does not stop that (rule 20)."""
    old = version.policy
    if old is None or old.mode == "unlocked":
        return
    if policy.mode == "unlocked" or policy.until < old.until:
        raise due_to_policy()


def guard_policy_delete(version: Version) -> None:
    """Rule 15."""
    if version.policy is not None and version.policy.mode == "locked":
        raise ApiError(409, "ImmutabilityPolicyDeleteOnLockedPolicy")

"""Collects the facts of a bucket: what it is set to, and what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from audit_stream.errors import StoreRefused
from audit_stream.stores.observed import Attempt, Unread
from audit_stream.stores.s3_canary import Puts, try_canary, try_retention
from audit_stream.stores.s3_client import Connection
from audit_stream.stores.s3_errors import NO_LOCK, SDK_ERRORS, error_code, is_ambiguous
from audit_stream.stores.s3_facts import (
    ArchiveFacts,
    Lock,
    Policy,
    Retained,
    SubjectsFacts,
    Versioning,
    Way,
    expires,
    lock_of,
    open_to_public,
    policy_of,
    versioning_of,
)
from audit_stream.stores.s3_target import S3Target

R = TypeVar("R")
_READ_ONLY = Unread("opened read-only")
_NO_POLICY = frozenset(("NoSuchBucketPolicy",))
_NO_BLOCK = frozenset(("NoSuchPublicAccessBlockConfiguration",))
_NO_RULES = frozenset(("NoSuchLifecycleConfiguration",))
_NO_REPLICATION = frozenset(("ReplicationConfigurationNotFoundError",))


async def survey_archive(
    connection: Connection, target: S3Target, store: Puts | None
) -> ArchiveFacts:
    """All facts of an archive's bucket; without `store` the canary is not tried.

    `StoreError` when the bucket cannot be asked; what it does not tell is `Unread`.
    """
    with connection.errors("asking the bucket what it enforces"):
        lock = await _lock(connection)
        versioning = await _versioning(connection)
        canary: tuple[Attempt, ...] | Unread = _READ_ONLY
        retained: Retained | Unread = _READ_ONLY
        if store is not None and isinstance(lock, Lock) and not lock.enabled:
            canary = retained = Unread("without Object Lock there is nothing to withstand")
        elif store is not None:
            canary = await try_canary(connection, store)
            retained = await _retained(connection, store, target.retention_days)
        return ArchiveFacts(
            target_days=target.retention_days, lock=lock, versioning=versioning, canary=canary,
            retained=retained, way=_way(connection),
            policy=await _fact(
                connection, "get_bucket_policy", lambda answer: policy_of(str(answer["Policy"])),
                _NO_POLICY, Policy(),
            ),
            public=await _fact(
                connection, "get_public_access_block", open_to_public, _NO_BLOCK, True
            ),
            expires=await _fact(
                connection, "get_bucket_lifecycle_configuration", expires, _NO_RULES, False
            ),
        )  # fmt: skip


async def survey_subjects(
    connection: Connection, trial: Callable[[], Awaitable[tuple[Attempt, ...]]]
) -> SubjectsFacts:
    """All facts of the bucket of the subject objects; errors as above."""
    with connection.errors("asking the subjects' bucket what it keeps"):
        return SubjectsFacts(
            lock=await _lock(connection), versioning=await _versioning(connection),
            replicated=await _fact(
                connection, "get_bucket_replication", bool, _NO_REPLICATION, False
            ),
            conditions=await _tried(trial), way=_way(connection),
        )  # fmt: skip


async def _lock(connection: Connection) -> Lock | Unread:
    return await _fact(
        connection, "get_object_lock_configuration", lock_of, NO_LOCK, Lock(enabled=False)
    )


async def _versioning(connection: Connection) -> Versioning | Unread:
    return await _fact(
        connection, "get_bucket_versioning", versioning_of, frozenset(), Versioning(status="")
    )


async def _retained(connection: Connection, store: Puts, days: int) -> Retained | Unread:
    try:
        return await try_retention(connection, store.extend_retention, days)
    except StoreRefused as error:
        return Unread(error.message)
    except SDK_ERRORS as error:
        return _unread(error)


async def _tried(trial: Callable[[], Awaitable[tuple[Attempt, ...]]]) -> Any:
    try:
        return await trial()
    except StoreRefused as error:
        return Unread(error.message)
    except SDK_ERRORS as error:
        return _unread(error)


def _way(connection: Connection) -> Way:
    return Way(
        https=connection.https, amazon=connection.amazon, tls=connection.tls,
        skew_seconds=connection.skew_seconds,
    )  # fmt: skip


async def _fact(
    connection: Connection, operation: str, read: Callable[[Mapping[str, Any]], R],
    absent: frozenset[str], without: R,
) -> R | Unread:  # fmt: skip
    """What `read` makes of the answer; `without` when the service says there is no such thing."""
    try:
        return read(await connection.ask(operation))
    except SDK_ERRORS as error:
        return without if error_code(error) in absent else _unread(error)


def _unread(error: Exception) -> Unread:
    """A refusal to tell; what may pass, or says that there is no such bucket, is raised."""
    code = error_code(error)
    if is_ambiguous(error) or code is None or code == "NoSuchBucket":
        raise error
    return Unread(code)

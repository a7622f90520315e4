"""Collects the facts of a container: from its data plane, the management plane, and the canary."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from audit_stream.stores.azure_arm import NOT_SET, open_arm, unread
from audit_stream.stores.azure_canary import Put, retained, try_canary
from audit_stream.stores.azure_client import Connection
from audit_stream.stores.azure_facts import (
    Account,
    ArchiveFacts,
    BlobService,
    Container,
    Grant,
    Plane,
    SubjectsFacts,
)
from audit_stream.stores.azure_target import AzureTarget
from audit_stream.stores.observed import Unread


class _Managed(NamedTuple):
    container: Container | Unread
    account: Account | Unread
    service: BlobService | Unread
    grants: tuple[Grant, ...] | Unread


async def survey_archive(
    connection: Connection, target: AzureTarget, put: Put | None
) -> ArchiveFacts:  # fmt: skip
    """All facts of an archive's container; without `put` the canary is not tried.

    `StoreError` when the data plane cannot be asked; what the management plane does not tell is
    `Unread`.
    """
    plane = await look(connection, target)
    managed = await _manage(target)
    versioned = plane.versioned or (
        isinstance(managed.container, Container) and managed.container.versioned
    )
    canary = Unread("opened read-only") if put is None else await try_canary(connection, put)
    tried = put is not None and versioned
    return ArchiveFacts(
        target_days=target.retention_days, plane=plane, canary=canary,
        retained=await retained(connection) if tried else None,
        container=managed.container, account=managed.account, service=managed.service,
        grants=managed.grants,
    )  # fmt: skip


async def survey_subjects(connection: Connection, target: AzureTarget) -> SubjectsFacts:
    """All facts of the container of the subject objects; errors as above."""
    plane = await look(connection, target)
    if target.access.management is None:
        return SubjectsFacts(plane=plane, service=NOT_SET)
    async with open_arm(target) as arm:
        return SubjectsFacts(plane=plane, service=await unread(arm.service()))


async def look(connection: Connection, target: AzureTarget) -> Plane:
    """What the data plane says."""
    dates: list[str] = []

    def note(response: Any) -> None:
        dates.append(response.http_response.headers.get("Date", ""))

    with connection.errors("asking the container what it enforces"):
        found = await connection.container().get_container_properties(raw_response_hook=note)
    return Plane(
        https=target.service_url.startswith("https://"),
        has_policy=bool(found.has_immutability_policy), held=bool(found.has_legal_hold),
        versioned=bool(found.immutable_storage_with_versioning_enabled),
        tls=connection.tls, skew_seconds=_skew(dates[-1] if dates else ""),
    )  # fmt: skip


def _skew(date: str) -> float | None:
    """Our clock minus the service's, from a Date header (RFC 9110), which has whole seconds."""
    with suppress(ValueError):
        return time.time() - parsedate_to_datetime(date).timestamp()
    return None


async def _manage(target: AzureTarget) -> _Managed:
    if target.access.management is None:
        return _Managed(NOT_SET, NOT_SET, NOT_SET, NOT_SET)
    async with open_arm(target) as arm:
        container, account, service, grants = await asyncio.gather(
            unread(arm.container()), unread(arm.account()), unread(arm.service()),
            unread(arm.grants()),
        )  # fmt: skip
    return _Managed(container, account, service, grants)

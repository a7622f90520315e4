"""Entries of registers in an archive, for tests of whoever reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from audit_stream.archive.register import RegisterWriter
from audit_stream.evidence.hold import Action, HoldEntry, Kind, Scope
from audit_stream.evidence.redaction import Redaction, commitment
from audit_stream.evidence.register import Entry, Register, RegisterHead
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.ports import WormStore
from tests.support.chains import NAME, SIGNER

#: When the first of several certificates was executed; each later one a minute after.
FIRST = datetime(2026, 11, 25, 12, tzinfo=UTC)
_HASH = "ab" * 32


def at(number: int, first: datetime = FIRST) -> str:
    """When the certificate of this number was executed."""
    moment = first + timedelta(minutes=number)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def redaction(number: int = 0, **changes: Any) -> Redaction:
    """A certificate, the same each time."""
    executed = at(number)
    made = Redaction(
        approved_by="officer-2", barrier={"acknowledged": 3, "excused": []},
        basis="GDPR Art.17(1)(b)", certificate_id=f"rc-{number:016x}",
        commitment=commitment(bytes([number % 256]) * 32, [bytes(32)]), count=1,
        covers=[{"after": _HASH, "before": _HASH, "first_epoch": 0}], effective_at=executed,
        epochs=[number, number + 1], executed_at=executed,
        fields=["customer_external_id", "recipient_address"], keys_destroyed="file-unlinked",
        keys_destroyed_at=executed, request_ref=f"DSR-{number}", requested_at=executed,
        requested_by="officer-1", targets=[],
    )  # fmt: skip
    return replace(made, **changes)


def hold(number: int = 0, **changes: Any) -> HoldEntry:
    """A declaration, the same each time."""
    made = HoldEntry(
        action=Action.DECLARED, approved_by="chief", custodian="desk", declared_by="counsel",
        hold_id=f"h-{number:016x}", matter="LIT-1", reason="ORD-1",
        scope=Scope(kind=Kind.MESSAGE, values=("m-1",)), time=at(number),
    )  # fmt: skip
    return replace(made, **changes)


async def put(
    store: WormStore, register: Register, *said: Mapping[str, Any], archive: str = NAME,
    signer: LineSigner = SIGNER,
) -> list[Entry]:  # fmt: skip
    """Append entries with these members, as their writers do."""
    writer = RegisterWriter(store, TrustedKeys(signer.public), archive, register)
    return [await writer.append(each, signer) for each in said]


async def put_certificates(
    store: WormStore, count: int, *, start: int = 0, archive: str = NAME,
    signer: LineSigner = SIGNER,
) -> list[Entry]:  # fmt: skip
    """Append so many redaction certificates, counted from `start`."""
    said = [redaction(number).said() for number in range(start, start + count)]
    return await put(store, Register.REDACTIONS, *said, archive=archive, signer=signer)


def chained(
    register: Register, *said: Mapping[str, Any], begin: RegisterHead | None = None,
    archive: str = NAME, signer: LineSigner = SIGNER,
) -> list[Entry]:  # fmt: skip
    """Entries that follow each other, for who stores them otherwise."""
    made: list[Entry] = []
    for each in said:
        made.append(Entry(
            register=register, archive=archive, kid=signer.kid, said=each,
            number=0 if begin is None else begin.next, prev=None if begin is None else begin.leaf,
        ))  # fmt: skip
        begin = made[-1].head
    return made


async def store_entries(store: WormStore, *entries: Entry, signer: LineSigner = SIGNER) -> None:
    """Put them as they are, signed."""
    for each in entries:
        await store.put_if_absent(each.name, each.encode(signer), {})

"""Certifying a batch: an entry of the register for each request, then nothing is known of them."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from audit_stream.archive.private import PrivateObjects
from audit_stream.archive.register import RegisterWriter
from audit_stream.erasure.batch import JOURNAL, Batch, Item
from audit_stream.erasure.counting import erased_name
from audit_stream.erasure.installation import Installation, together
from audit_stream.erasure.request import Request, State
from audit_stream.erasure.requests import Requests
from audit_stream.evidence.encoding import time_text
from audit_stream.evidence.redaction import Redaction, redaction_of
from audit_stream.evidence.register import Entry, Register
from audit_stream.keys.file import load_closed

ERASED = "audit-erased/1"
#: Where a copy may lie for ever, as far as anybody can tell.
_NEVER = "9999-12-31T23:59:59.999Z"


async def certify(place: Installation, requests: Requests, batch: Batch) -> Sequence[Entry]:
    """Give each request its certificate, once, and forget whose records they were."""
    ring = load_closed(place.keyring)
    place.hook("certified", "before")
    register = RegisterWriter(place.store, ring.trusted, ring.keyring.archive, Register.REDACTIONS)
    made = _by_reference(await register.new_entries(), batch.epochs)
    effective = await _effective_at(place, batch)
    for item in batch.items:
        if item.ref not in made:
            request = await requests.get(item.ref)
            assert request is not None
            said = _certificate(request, batch, effective).said()
            made[item.ref] = await register.append(said, ring.signer)
            place.hook("certified", "between")
    closing = _Closing(place.private, requests, ring.keyring.index_key, made)
    await together(batch.items, closing.close)
    entries = [made[item.ref] for item in batch.items]
    await place.publish(entries)
    kept = await place.private.get(JOURNAL)
    if kept is not None:
        await place.private.remove(kept)
    place.hook("certified", "after")
    return entries


@dataclass(frozen=True, slots=True)
class _Closing:
    private: PrivateObjects
    requests: Requests
    index_key: bytes = field(repr=False)
    made: Mapping[str, Entry]

    async def close(self, item: Item) -> None:
        """Who knows a person's id finds the certificate; the request forgets whose it was."""
        entry = self.made[item.ref]
        for tag in item.tags:
            name = erased_name(erased_key(self.index_key, tag))
            await self.private.update(name, lambda _: {"certificate": entry.number, "v": ERASED})
        await self.requests.change(item.ref, lambda request: _done(request, entry))


def _done(request: Request, entry: Entry) -> Request:
    said = redaction_of(entry)
    return replace(
        request, state=State.DONE, tags=(), epoch=said.epochs[1], certificate=entry.number,
        certificate_id=said.certificate_id,
    )  # fmt: skip


async def _effective_at(place: Installation, batch: Batch) -> str:
    assert batch.executed_at is not None
    assert batch.keys_destroyed_at is not None
    longest = await place.longest_copy()
    if longest is None:
        return _NEVER
    copies = _moment(batch.executed_at) + longest
    return max(batch.keys_destroyed_at, time_text(int(copies.timestamp() * 1000)))


def erased_key(index_key: bytes, tag: bytes) -> str:
    """What an erased person's certificate is found by: nobody's without the keyring."""
    return hmac.digest(index_key, b"as/erased/v1\x00" + tag, "sha256").hex()[:32]


def _by_reference(entries: Sequence[Entry], epochs: tuple[int, int]) -> dict[str, Entry]:
    found = ((redaction_of(entry), entry) for entry in entries)
    return {said.request_ref: entry for said, entry in found if tuple(said.epochs) == epochs}


def _certificate(request: Request, batch: Batch, effective_at: str) -> Redaction:
    counted = batch.counted[request.ref]
    assert request.approved_by is not None
    return Redaction(
        approved_by=request.approved_by,
        barrier={"acknowledged": batch.acknowledged, "excused": list(batch.excused)},
        basis=request.basis, certificate_id=counted.certificate_id, commitment=counted.commitment,
        count=counted.count, covers=list(batch.covers), effective_at=effective_at,
        epochs=list(batch.epochs), executed_at=str(batch.executed_at), fields=list(request.fields),
        keys_destroyed=batch.keys_destroyed, keys_destroyed_at=str(batch.keys_destroyed_at),
        request_ref=request.ref, requested_at=request.requested_at,
        requested_by=request.requested_by, targets=[],
    )  # fmt: skip


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)

"""Certifying a batch: an entry of the register for each request, then nothing is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from audit_stream.archive.private import PrivateObjects
from audit_stream.archive.register import RegisterWriter, open_entry
from audit_stream.erasure.batch import JOURNAL, Batch, Item
from audit_stream.erasure.counting import OPENINGS, erased_name
from audit_stream.erasure.installation import Installation, together
from audit_stream.erasure.notifying import forget_notices
from audit_stream.erasure.request import Request, State
from audit_stream.erasure.requests import Requests
from audit_stream.errors import Tampered
from audit_stream.evidence.encoding import milliseconds, time_text
from audit_stream.evidence.redaction import Redaction, redaction_of
from audit_stream.evidence.register import Entry, Register, RegisterHead
from audit_stream.keys.file import LoadedKeyring, load_closed
from audit_stream.privacy.private_object import FOLDER

ERASED = "audit-erased/1"
CERTIFIED = f"{FOLDER}certified"
OPENING_KEPT = timedelta(days=30)
#: Where a copy may lie for ever, as far as anybody can tell.
_NEVER = "9999-12-31T23:59:59.999Z"


async def certify(place: Installation, requests: Requests, batch: Batch) -> Sequence[Entry]:
    """Give each request its certificate, once, and forget whose records they were."""
    ring = load_closed(place.keyring)
    place.hook("certified", "before")
    before = await _certified_before(place.private)
    register = RegisterWriter(
        place.store, ring.trusted, ring.keyring.archive, Register.REDACTIONS, before
    )
    made = _by_reference(await register.new_entries(), batch.epochs)
    batch = _in_order(batch, register.last or await _standing(place, ring, before))
    effective = await _effective_at(place, batch)
    for item in batch.items:
        if item.ref not in made:
            request = await requests.get(item.ref)
            assert request is not None
            said = _certificate(request, batch, effective).said()
            made[item.ref] = await register.append(said, ring.signer)
            place.hook("certified", "between")
    until = _later(place.now(), OPENING_KEPT)
    closing = _Closing(place.private, requests, ring.keyring.index_key, made, until)
    await together(batch.items, closing.close)
    entries = [made[item.ref] for item in batch.items]
    await place.publish(entries)
    await forget_notices(place.private)
    await place.private.discard(JOURNAL)
    await _note_certified(place.private, entries[-1].head)  # last: the batch is found from before
    place.hook("certified", "after")
    return entries


async def _certified_before(private: PrivateObjects) -> RegisterHead | None:
    """Where the register ended when the last batch was done: what is before need not be read."""
    kept = await private.get(CERTIFIED)
    if kept is None:
        return None
    return RegisterHead(int(kept.value["next"]), bytes.fromhex(kept.value["leaf"]))


async def _standing(
    place: Installation, ring: LoadedKeyring, head: RegisterHead | None
) -> Entry | None:
    """The entry a head is of. `Tampered` when it is not there any more."""
    if head is None:
        return None
    name = Register.REDACTIONS.entry_name(head.next - 1)
    data = await place.store.get(name) or b""
    entry = open_entry(data, name, ring.trusted, ring.keyring.archive)
    if entry is None:
        raise Tampered(f"{name} is no certificate any more", hint="read docs/runbooks/fork.md")
    return entry


def _in_order(batch: Batch, newest: Entry | None) -> Batch:
    """A clock may have stepped back since the newest certificate. No verifier takes one that is
    earlier than the one before it, and what stands in WORM stands for ever: so it is given that
    one's time."""
    if newest is None:
        return batch
    at = max(str(batch.executed_at), redaction_of(newest).executed_at)
    return replace(batch, executed_at=at)


async def _note_certified(private: PrivateObjects, head: RegisterHead) -> None:
    value = {"leaf": head.leaf.hex(), "next": head.next, "v": "audit-certified/1"}
    await private.update(CERTIFIED, lambda _: value)


async def forget_openings(private: PrivateObjects, requests: Requests, at: str) -> None:
    """Remove what nobody came for in time: it links the records of one person."""
    for name in await private.names(OPENINGS):
        request = await requests.closed(name.removeprefix(OPENINGS))
        if request is None or request.opening_until is None or request.opening_until >= at:
            continue
        await private.discard(name)


@dataclass(frozen=True, slots=True)
class _Closing:
    private: PrivateObjects
    requests: Requests
    index_key: bytes = field(repr=False)
    made: Mapping[str, Entry]
    until: str

    async def close(self, item: Item) -> None:
        """Who knows a person's id finds the certificate; the request forgets whose it was."""
        entry = self.made[item.ref]
        for tag in item.tags:
            name = erased_name(self.index_key, tag)
            value = {"certificate": entry.number, "v": ERASED}
            await self.private.create(name, value)  # a tag is erased once: the first one counts
        await self.requests.change(item.ref, self._done)

    def _done(self, request: Request) -> Request:
        if request.state is State.DONE:
            return request
        entry = self.made[request.ref]
        said = redaction_of(entry)
        return replace(
            request, state=State.DONE, tags=(), epoch=said.epochs[1], certificate=entry.number,
            certificate_id=said.certificate_id, opening_until=self.until,
        )  # fmt: skip


async def _effective_at(place: Installation, batch: Batch) -> str:
    assert batch.executed_at is not None
    assert batch.keys_destroyed_at is not None
    longest = await place.longest_copy()
    if longest is None:
        return _NEVER
    return max(batch.keys_destroyed_at, _later(batch.executed_at, longest))


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
        requested_by=request.requested_by,
        targets=[dict(each) for each in batch.targets] if counted.count else [],
    )  # fmt: skip


def _later(at: str, span: timedelta) -> str:
    return time_text(milliseconds(at) + span // timedelta(milliseconds=1))

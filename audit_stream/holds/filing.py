"""Holds in the private objects: filing a declaration, filing and approving a release.

Whoever has the index key may file, a gateway too; only who has a segment key can carry it out
(`declaring`). What is filed holds from then on.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import RequestError
from audit_stream.evidence.hold import HOLD_ID_BYTES, Kind, Scope, commitment
from audit_stream.holds.hold import HOLDING, HOLDS, Hold, State, decode_hold, hold_name
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.subjects import TagMaker, tags_of

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody wants held, and why."""

    kind: Kind
    values: Sequence[str] = ()
    tags: Sequence[bytes] = field(default=(), repr=False)  # of a customer, by `held_tags`
    matter: str
    custodian: str
    reason: str
    declared_by: str
    approved_by: str


def held_tags(keyring: Keyring, subject: tuple[str, str, str]) -> list[bytes]:
    """Every tag under which records of the subject stand or may come: of each tree, each time it
    returned, and the next time, as a hold outlasts a return."""
    firsts = [TagMaker(tree.pepper).tag(subject) for tree in keyring.trees]
    back = keyring.epoch + 1
    ahead = {first: (*keyring.returned.get(first, ()), back) for first in firsts}
    return tags_of(replace(keyring, returned={**keyring.returned, **ahead}), subject)


class Holds:
    """The private objects of all holds of one archive."""

    def __init__(self, private: PrivateObjects) -> None:
        self._private = private

    async def file(self, wanted: Wanted, at: str) -> Hold:
        """File a declaration, or find the one of the same matter and scope that holds already.

        `FormatError` for what must not stand in WORM. Of two at once the later one steps back;
        if it was declared meanwhile both hold, which does no harm.
        """
        hold = _made(wanted, at)
        if (there := await self._same(hold)) is not None:
            return there
        if not await self._private.create(hold.name, hold.encode()):
            raise RequestError(f"{hold.hold_id} is taken", hint="try again")
        first = await self._same(hold)
        if first is not None and _order(first) < _order(hold) and await self._withdraw(hold):
            return first
        return hold

    async def _same(self, hold: Hold) -> Hold | None:
        same = [
            each
            for each in await self.all()
            if each.state in HOLDING and each.hold_id != hold.hold_id and each.same_as(hold)
        ]
        return min(same, key=_order, default=None)

    async def _withdraw(self, hold: Hold) -> bool:
        kept = await self._private.get(hold.name)
        filed = kept is not None and decode_hold(kept.value, kept.name).state is State.FILED
        return filed and kept is not None and await self._private.remove(kept)

    async def release(self, hold_id: str, by: str, at: str, reason: str) -> Hold:
        """File a release; `RequestError`."""
        return await self.change(hold_id, lambda hold: hold.leaving(by, at, reason))

    async def approve(self, hold_id: str, by: str, at: str) -> Hold:
        """Approve a release, as a second person; `RequestError`."""
        return await self.change(hold_id, lambda hold: hold.approved(by, at))

    async def get(self, hold_id: str) -> Hold | None:
        """By id."""
        kept = await self._private.get(hold_name(hold_id))
        return None if kept is None else decode_hold(kept.value, kept.name)

    async def all(self) -> list[Hold]:
        """Every hold, the oldest first."""
        kept = await self._private.all(HOLDS)
        return sorted((decode_hold(each.value, each.name) for each in kept), key=_order)

    async def change(self, hold_id: str, change: Callable[[Hold], Hold]) -> Hold:
        """Compare and swap; `RequestError` when there is no such hold."""
        name = hold_name(hold_id)

        def changed(value: dict[str, Any] | None) -> dict[str, Any]:
            if value is None:
                raise RequestError(
                    f"there is no hold {hold_id}", hint="audit-stream hold list shows them"
                )
            return change(decode_hold(value, name)).encode()

        return decode_hold(await self._private.update(name, changed), name)


def _made(wanted: Wanted, at: str) -> Hold:
    if wanted.declared_by == wanted.approved_by:
        raise RequestError(
            f"{wanted.declared_by} declares the hold", hint="another person must approve it"
        )
    secret = secrets.token_bytes(_SECRET_BYTES) if wanted.kind is Kind.CUSTOMER else None
    tags = tuple(sorted(set(wanted.tags)))
    if secret is None:
        scope = Scope(kind=wanted.kind, values=tuple(dict.fromkeys(wanted.values)))
    elif not tags:
        raise RequestError("a hold by customer names one or more")
    else:
        scope = Scope(kind=wanted.kind, commitment=commitment(secret, tags))
    return Hold(
        hold_id=f"h-{secrets.token_hex(HOLD_ID_BYTES)}", scope=scope, secret=secret,
        tags=() if secret is None else tags, matter=wanted.matter, custodian=wanted.custodian,
        reason=wanted.reason, declared_by=wanted.declared_by, approved_by=wanted.approved_by,
        filed_at=at,
    )  # fmt: skip


def _order(hold: Hold) -> tuple[str, str]:
    return hold.filed_at, hold.hold_id

"""Holds in the private objects: filing a declaration, filing and approving a release.

Whoever has the index key may file, a gateway too; only who has a segment key can carry it out
(`declaring`). What is filed holds from then on.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import RequestError, StoreTransient
from audit_stream.evidence.canonical import check_members
from audit_stream.evidence.hold import (
    HOLD_ID_BYTES,
    Action,
    HoldEntry,
    Kind,
    Scope,
    commitment,
)
from audit_stream.evidence.persons import is_one_person
from audit_stream.holds.hold import HOLDING, HOLDS, Hold, decode_hold, hold_name, lost_hold
from audit_stream.privacy.derivation import TagMaker
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.subjects import EXTERNAL, check_somebody, tags_of

KEY_VERSION = "audit-hold-key/1"
_SECRET_BYTES = 32
_TRIES = 20
#: Of a hold's id its newest entry in the register, as that is by now.
EntryOf = Callable[[str], Awaitable[HoldEntry | None]]


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


def held_tags(
    keyring: Keyring, subject: tuple[str, str, str], placeholders: Collection[str]
) -> list[bytes]:
    """Every tag under which records of the subject stand or may come: of each tree, each time it
    returned, and the next time, as a hold outlasts a return. `RequestError` of one that is nobody.
    """
    _, kind, said = subject
    check_somebody("customer" if kind == EXTERNAL else kind, said, placeholders)
    firsts = [TagMaker(tree.pepper).tag(subject) for tree in keyring.trees]
    next_epoch = keyring.epoch + 1
    ahead = {first: (*keyring.returned.get(first, ()), next_epoch) for first in firsts}
    return tags_of(replace(keyring, returned={**keyring.returned, **ahead}), subject)


class Holds:
    """The private objects of all holds of one archive."""

    def __init__(self, private: PrivateObjects) -> None:
        self._private = private

    async def file(self, wanted: Wanted, at: str, entry_of: EntryOf) -> Hold:
        """File a declaration, or find the one of the same matter and scope that holds already: also
        of several at once there is one. `FormatError` for what must not stand in WORM.

        Nothing is filed under the id of a hold whose release stands in the register, whatever
        became of its private object: behind a release nothing is declared of it any more.
        """
        mine = _made(wanted, at)
        for _ in range(_TRIES):
            kept = await self._private.get(mine.key)
            if kept is None:
                await self._private.create(mine.key, _naming(mine))
                continue
            check_members(kept.value, KEY_VERSION, {"hold_id", "v"}, kept.name)
            named = kept.value["hold_id"]
            standing, entry = await self.get(named), await entry_of(named)
            if entry is not None and entry.action is Action.RELEASED:
                await self._private.replace(kept, _naming(mine))
            elif standing is None:  # whoever took the key has not come further
                await self._private.create(hold_name(named), replace(mine, hold_id=named).encode())
            elif standing.state in HOLDING and not standing.is_lost:
                return standing
            else:  # that one is over, or ends without anybody knowing whom it held
                await self._private.replace(kept, _naming(mine))
        raise StoreTransient("others file the same hold over and over")

    async def release(
        self, hold_id: str, by: str, at: str, reason: str, entry: HoldEntry | None = None
    ) -> Hold:
        """File a release; `RequestError`. `entry`: what the register has, for a hold is one
        although its private object is gone."""
        return await self.change(hold_id, lambda hold: hold.leaving(by, at, reason), entry)

    async def approve(self, hold_id: str, by: str, at: str, entry: HoldEntry | None = None) -> Hold:
        """Approve a release, as a second person; `RequestError`."""
        return await self.change(hold_id, lambda hold: hold.approved(by, at), entry)

    async def get(self, hold_id: str) -> Hold | None:
        """By id."""
        kept = await self._private.get(hold_name(hold_id))
        return None if kept is None else decode_hold(kept.value, kept.name)

    async def all(self) -> list[Hold]:
        """Every hold, the oldest first."""
        kept = await self._private.all(HOLDS)
        return sorted((decode_hold(each.value, each.name) for each in kept), key=_order)

    async def change(
        self, hold_id: str, change: Callable[[Hold], Hold], entry: HoldEntry | None = None
    ) -> Hold:
        """Compare and swap; `RequestError` when there is no such hold."""
        name = hold_name(hold_id)

        def changed(value: dict[str, Any] | None) -> dict[str, Any]:
            if value is not None:
                return change(decode_hold(value, name)).encode()
            if entry is not None and entry.action is Action.DECLARED:
                return change(lost_hold(entry)).encode()
            raise RequestError(
                f"there is no hold {hold_id}", hint="audit-stream hold list shows them"
            )

        return decode_hold(await self._private.update(name, changed), name)


def _naming(hold: Hold) -> dict[str, Any]:
    return {"hold_id": hold.hold_id, "v": KEY_VERSION}


def _made(wanted: Wanted, at: str) -> Hold:
    if is_one_person(wanted.declared_by, wanted.approved_by):
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

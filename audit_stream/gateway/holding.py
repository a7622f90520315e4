"""Legal holds through the gateway: filed, their release filed and approved, listed.

Nothing is declared here, for the gateway cannot sign; what is filed holds from then on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from audit_stream.errors import FormatError
from audit_stream.evidence.hold import Action, HoldEntry, Kind, check_hold_id, check_id, parse_range
from audit_stream.evidence.persons import is_one_person
from audit_stream.evidence.redaction import check_actor, check_reference
from audit_stream.gateway.asked import checked, text_of
from audit_stream.gateway.caller import EVERY_TENANT, JWT, Caller
from audit_stream.gateway.officers import Officers
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.query import MOST, is_text
from audit_stream.gateway.redactions import actor
from audit_stream.holds.filing import Holds, Wanted, held_tags
from audit_stream.holds.hold import Hold
from audit_stream.privacy.subjects import ADDRESS, EXTERNAL

KIND = "hold"  # in the journal
PERSONS: Final = {"customer": EXTERNAL, "address": ADDRESS}
PLACES: Final = {"message": Kind.MESSAGE, "workflow": Kind.WORKFLOW, "range": Kind.RANGE}
_SAID: Final = {
    "matter": check_reference, "custodian": check_actor, "reason": check_reference,
    "approved_by": check_actor,
}  # fmt: skip
_MEMBERS = frozenset((*PERSONS, *PLACES, *_SAID, "platform_tenant_id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What somebody wants held; its repr shows nobody."""

    what: str  # customer, address, message, workflow, range
    values: Sequence[str] = field(repr=False)
    tenant: str | None
    said: Mapping[str, str]  # matter, custodian, reason, approved_by


def parse_declaration(found: Mapping[str, Any]) -> Declaration:
    """From names and values. `Problem` 400 says which and why, never whom."""
    if odd := found.keys() - _MEMBERS:
        raise Problem(400, f"there are {len(odd)} members that are none of ours")
    named = [name for name in (*PERSONS, *PLACES) if name in found]
    if len(named) != 1:
        raise Problem(400, f"name one of {', '.join((*PERSONS, *PLACES))}")
    given = found[named[0]]
    values = given if isinstance(given, list) else [given]
    if not 1 <= len(values) <= MOST or not all(map(is_text, values)):
        raise Problem(400, f"{named[0]} is a text, or a list of 1 to {MOST}")
    for value in values if named[0] in PLACES else ():
        checked(_place if named[0] == "range" else check_id, value, named[0])
    said = {name: checked(check, found.get(name), name) for name, check in _SAID.items()}
    tenant = text_of(found, "platform_tenant_id")
    if tenant is not None and named[0] in PLACES:
        raise Problem(400, "platform_tenant_id goes with customer and address")
    return Declaration(what=named[0], values=values, tenant=tenant, said=said)


def _place(value: str) -> str:
    parse_range(value)
    return value


@dataclass(frozen=True, slots=True)
class Holding:
    """Of one archive. Every method raises `Problem` and has what was done in the journal."""

    officers: Officers

    @property
    def _holds(self) -> Holds:
        return Holds(self.officers.private)

    async def file(self, asked: Declaration, caller: Caller) -> tuple[Hold, bool]:
        """File a declaration: it holds from now on. The same again finds the first; whether it is
        new."""
        async with self.officers.acting(caller, KIND, "file") as tenants:
            by = actor(caller)
            if is_caller(caller, asked.said["approved_by"]):
                raise Problem(422, "another person must approve the hold")
            tags: list[bytes] = []
            if asked.what in PERSONS:
                theirs = self._tenants(asked, caller)
                tenants.update(theirs)
                tags = self._tags(asked, theirs)
            elif EVERY_TENANT not in caller.tenants:
                raise Problem(403, "to hold by place takes a token for every tenant")
            wanted = Wanted(
                kind=PLACES.get(asked.what, Kind.CUSTOMER), tags=tags, declared_by=by,
                values=() if tags else asked.values, **asked.said,
            )  # fmt: skip
            at = self.officers.gateway.now()
            filed = await self._holds.file(wanted, at, self._entry)
            return filed, (filed.filed_at, filed.declared_by) == (at, by)

    async def all(self, caller: Caller) -> list[tuple[Hold | HoldEntry, bool]]:
        """Every hold that the caller may see, the newest first, and whether the register has it
        declared. Of one whose private object is gone, what the register says."""
        async with self.officers.acting(caller, KIND, "list"):
            files = await self._holds.all()
            standing = await self.officers.standing_holds()
            known = {each.hold_id for each in files}
            lost = [each for name, each in standing.items() if name not in known]
            found: list[Hold | HoldEntry] = [*files[::-1], *lost]
            return [(each, _is_declared(each, standing)) for each in found if _sees(caller, each)]

    async def release(self, hold_id: str, reason: str, caller: Caller) -> Hold:
        """File a release; it goes on holding until another caller approves that."""
        async with self.officers.acting(caller, KIND, "release"):
            entry, at = await self._seen(hold_id, caller), self.officers.gateway.now()
            return await self._holds.release(hold_id, actor(caller), at, reason, entry)

    async def approve(self, hold_id: str, caller: Caller) -> Hold:
        """Approve a release, as another than who filed it."""
        async with self.officers.acting(caller, KIND, "approve"):
            entry, at = await self._seen(hold_id, caller), self.officers.gateway.now()
            return await self._holds.approve(hold_id, actor(caller), at, entry)

    async def _seen(self, hold_id: str, caller: Caller) -> HoldEntry | None:
        """What the register has of a hold that the caller may see, lost or not."""
        try:
            name = check_hold_id(hold_id)
        except FormatError:
            raise _unknown() from None
        entry = await self._entry(name)
        found = await self._holds.get(name) or entry
        if found is None or not _sees(caller, found):
            raise _unknown()
        return entry

    async def _entry(self, hold_id: str) -> HoldEntry | None:
        return (await self.officers.standing_holds()).get(hold_id)

    def _tenants(self, asked: Declaration, caller: Caller) -> list[str]:
        if asked.tenant is None:
            return self.officers.tenants_of(caller)
        if not caller.sees(asked.tenant):
            raise Problem(403, "this token is not for that tenant")
        return [asked.tenant]

    def _tags(self, asked: Declaration, tenants: Sequence[str]) -> list[bytes]:
        if not tenants:
            raise Problem(422, "the archive has no tenant")
        keyring, kind = self.officers.gateway.service.archive.keyring, PERSONS[asked.what]
        return [
            tag
            for tenant in tenants
            for value in asked.values
            for tag in held_tags(keyring, (tenant, kind, value), self.officers.placeholders)
        ]


def is_caller(caller: Caller, actor_id: str) -> bool:
    """Whether an id that was typed is the caller's, a JWT's also without the prefix it has here."""
    return any(is_one_person(actor_id, each) for each in (caller.id, caller.id.removeprefix(JWT)))


def _unknown() -> Problem:
    return Problem(404, "there is no such hold, or it is not for this token")


def _is_declared(hold: Hold | HoldEntry, standing: Mapping[str, HoldEntry]) -> bool:
    entry = standing.get(hold.hold_id)
    return entry is not None and entry.action is Action.DECLARED


def _sees(caller: Caller, hold: Hold | HoldEntry) -> bool:
    """A hold by customer tells nobody whose tenant it is of: it is for who filed it, too."""
    return EVERY_TENANT in caller.tenants or hold.declared_by == caller.id

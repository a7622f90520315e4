"""A purge: filed with its dry run, approved by a second person, certified, removed; its states.

Pure. It is a private object, `audit-purge/1`; what was removed, and by whose word, stands in the
register of disposals for ever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

from audit_stream.errors import FormatError, RequestError
from audit_stream.evidence.canonical import check_members
from audit_stream.evidence.disposal import Disposal, Stretch
from audit_stream.evidence.persons import check_second_person
from audit_stream.evidence.redaction import check_actor
from audit_stream.privacy.private_object import FOLDER
from audit_stream.retention.plan import stretches_of

VERSION = "audit-purge/1"
PURGES = f"{FOLDER}purges/"
_ID = re.compile(r"dc-[0-9a-f]{16}").fullmatch


class State(Enum):
    """Where a purge is."""

    FILED = "filed"  # the dry run is made; a second person must approve
    APPROVED = "approved"  # the next run carries it out
    AT_WORK = "at_work"  # its certificate is about to be stored: nobody withdraws it any more
    CERTIFIED = "certified"  # its certificate is stored; removals may be owed
    DONE = "done"  # all is gone, the keys of its years included
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """One purge. The stretches are what the dry run found; no more than that is ever removed."""

    id: str
    basis: str
    bytes: int
    days: int  # the class's retention
    records: int
    regulatory_tag: str
    requested_at: str
    requested_by: str
    segments: int
    stretches: Sequence[Stretch]
    years: Sequence[int]
    state: State = State.FILED
    approved_at: str | None = None
    approved_by: str | None = None
    certificate: int | None = None  # its number in the register

    @property
    def name(self) -> str:
        """Of its private object."""
        return purge_name(self.id)

    def approved(self, by: str, at: str) -> Purge:
        """By a second person; `RequestError` when that is the first."""
        check_actor(by)
        if self.state is State.WITHDRAWN:
            raise RequestError(f"the purge {self.id} was withdrawn")
        check_second_person(by, self.requested_by, f"the purge {self.id}")
        if self.state is not State.FILED:
            return self  # a repeated approval changes nothing
        return replace(self, state=State.APPROVED, approved_by=by, approved_at=at)

    def withdrawn(self) -> Purge:
        """Not to be carried out; `RequestError` once its certificate is about to be stored."""
        if self.state in (State.AT_WORK, State.CERTIFIED, State.DONE):
            said = self.state.value.replace("_", " ")
            raise RequestError(f"the purge {self.id} is {said}: it cannot be undone")
        return replace(self, state=State.WITHDRAWN)

    def kept_for(self, days: int) -> Purge:
        """As its class is kept by now: longer than when it was filed, or as long; never shorter."""
        return replace(self, days=max(self.days, days))

    def at_work(self) -> Purge:
        """To be certified; one that was withdrawn meanwhile stays that."""
        return replace(self, state=State.AT_WORK) if self.state is State.APPROVED else self

    def waiting(self) -> Purge:
        """Nothing of it can go now, and no certificate is stored."""
        return replace(self, state=State.APPROVED) if self.state is State.AT_WORK else self

    def certified(self, number: int, days: int) -> Purge:
        """Its certificate is stored, under this number of the register."""
        if self.state is State.DONE:
            return self
        return replace(self, state=State.CERTIFIED, certificate=number, days=days)

    def encode(self) -> dict[str, Any]:
        """As a private object's value."""
        return asdict(self) | {"state": self.state.value, "v": VERSION}


_MEMBERS = frozenset(Purge.__dataclass_fields__) | {"v"}


def decode_purge(value: Mapping[str, Any], what: str) -> Purge:
    """The inverse of `Purge.encode`; `FormatError`."""
    check_members(value, VERSION, _MEMBERS, what)
    rest = {name: value[name] for name in _MEMBERS - {"v", "state", "stretches", "years"}}
    try:
        return Purge(**rest, state=State(value["state"]), years=tuple(value["years"]),
                     stretches=stretches_of(value["stretches"]))  # fmt: skip
    except (TypeError, ValueError) as error:
        raise FormatError(f"{what} is not a purge") from error


def certified_purge(disposal: Disposal) -> Purge:
    """The purge of a certificate, as far as that tells."""
    return Purge(
        id=disposal.disposal_id, basis=disposal.basis, bytes=0, days=disposal.retention_days,
        records=disposal.records, regulatory_tag=disposal.regulatory_tag,
        requested_at=disposal.requested_at, requested_by=disposal.requested_by,
        segments=disposal.segments, stretches=disposal.stretches, years=disposal.years,
        state=State.CERTIFIED, approved_by=disposal.approved_by,
    )  # fmt: skip


def purge_name(purge_id: str) -> str:
    """Of the private object of a purge; `RequestError` for what is no purge's id."""
    if not _ID(purge_id):
        raise RequestError(f"{purge_id!r} is no purge's id",
                           hint="audit-stream retention status shows them")  # fmt: skip
    return PURGES + purge_id

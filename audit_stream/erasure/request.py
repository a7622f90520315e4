"""A request to erase a person: filed, approved by a second person, carried out; its states. Pure.

It holds tags, never an identity; once it is done, not even these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from hashlib import sha256
from typing import Any

from audit_stream.errors import FormatError, RequestError
from audit_stream.evidence.canonical import check_members
from audit_stream.evidence.persons import check_second_person
from audit_stream.evidence.record import PERSONAL_FIELDS
from audit_stream.evidence.redaction import check_actor, check_reference
from audit_stream.privacy.keytree import TAG_BYTES
from audit_stream.privacy.private_object import FOLDER

VERSION = "audit-erase-request/1"
REQUESTS = f"{FOLDER}requests/"
#: Those that something is still to be done about, and the others: only these grow.
OPEN, CLOSED = f"{REQUESTS}open/", f"{REQUESTS}closed/"
_LONGEST_BASIS = 200
LONGEST_REASON = 200  # of an excuse


class State(Enum):
    """Where a request is."""

    FILED = "filed"  # the dry run is made; a second person must approve
    APPROVED = "approved"  # the next batch takes it
    HELD = "held"  # approved, and a hold stands against it: tried again with every batch
    EXECUTING = "executing"  # in the batch at work
    DONE = "done"  # certified
    WITHDRAWN = "withdrawn"  # by whoever may file


#: Approved, whether or not a hold stands against it, or taken by a run that had no journal yet.
TO_CARRY_OUT = (State.APPROVED, State.HELD, State.EXECUTING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the dry run found. Times are `ingestion_timestamp`s, None where there are no records, or
    that record was just disposed of."""

    records: int
    tenants: Sequence[str]
    first: str | None
    last: str | None
    variants: int = 0  # other spellings under which there are records


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request."""

    ref: str
    kind: str  # customer, address, message: what was asked for
    basis: str
    state: State = State.FILED
    tags: Sequence[bytes] = field(repr=False)  # of every tree, tenant and spelling
    found: Found
    requested_by: str
    requested_at: str
    due: str  # by when it must be answered (Art. 12(3) GDPR: a month)
    approved_by: str | None = None
    approved_at: str | None = None
    fields: Sequence[str] = PERSONAL_FIELDS
    held_by: Sequence[str] = ()  # ids of the holds that stand against it
    epoch: int | None = None  # of the keyring that no longer opens it
    certificate: int | None = None  # its number in the register
    certificate_id: str | None = None
    opening_until: str | None = None  # then what opens the certificate's commitment is removed

    @property
    def is_closed(self) -> bool:
        """Whether nothing will be done about it any more."""
        return self.state in (State.DONE, State.WITHDRAWN)

    def approved(self, by: str, at: str) -> Request:
        """By a second person. `RequestError` when that is the first, or there is nothing to do."""
        check_actor(by)
        if self.state is State.WITHDRAWN:
            raise RequestError(f"the request {self.ref} was withdrawn")
        check_second_person(by, self.requested_by, f"the request {self.ref}")
        if self.state is not State.FILED:
            return self  # a repeated approval changes nothing
        return replace(self, state=State.APPROVED, approved_by=by, approved_at=at)

    def withdrawn(self) -> Request:
        """Not to be carried out, and without tags. `RequestError` once it is at work."""
        if self.state in (State.EXECUTING, State.DONE):
            raise RequestError(f"the request {self.ref} is {self.state.value}: it cannot be undone")
        return replace(self, state=State.WITHDRAWN, tags=())

    def taken(self) -> Request:
        """In the batch at work; as it is when it is not to be carried out (any more)."""
        if self.state not in TO_CARRY_OUT:
            return self
        return replace(self, state=State.EXECUTING, held_by=())

    def standing_against(self, holds: tuple[str, ...]) -> Request:
        """With the holds that stand against it now; as it is when it is not to be carried out."""
        if self.state not in TO_CARRY_OUT:
            return self
        return replace(self, state=State.HELD if holds else State.APPROVED, held_by=holds)

    def same_as(self, other: Request) -> bool:
        """Whether a repetition asks for the same: tags as far as they are still there."""
        if (self.kind, self.basis) != (other.kind, other.basis):
            return False
        return not self.tags or not other.tags or set(self.tags) == set(other.tags)

    def encode(self) -> dict[str, Any]:
        """As a private object's value."""
        value = asdict(self)
        value["state"] = self.state.value
        value["tags"] = [tag.hex() for tag in self.tags]
        return value | {"v": VERSION}


_MEMBERS = frozenset(Request.__dataclass_fields__) | {"v"}


def decode_request(value: Mapping[str, Any], what: str) -> Request:
    """The inverse of `Request.encode`; `FormatError`."""
    check_members(value, VERSION, _MEMBERS, what)
    try:
        rest = {name: _frozen(value[name]) for name in _MEMBERS - {"v", "state", "tags", "found"}}
        tags = tuple(bytes.fromhex(tag) for tag in value["tags"])
        found = Found(**{name: _frozen(each) for name, each in value["found"].items()})
        state = State(value["state"])
    except (TypeError, ValueError) as error:
        raise FormatError(f"{what} is not a request") from error
    if any(len(tag) != TAG_BYTES for tag in tags):
        raise FormatError(f"{what} holds something other than tags")
    return Request(**rest, state=state, tags=tags, found=found)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def request_id(ref: str) -> str:
    """By which private objects name a request: its reference may be of any kind."""
    return sha256(check_reference(ref).encode()).hexdigest()[:32]


def check_basis(text: str) -> str:
    """The legal basis, which stands in WORM: a citation, e.g. ``GDPR Art.17(1)(b)``."""
    return check_words(text, "a basis", _LONGEST_BASIS)


def check_words(text: str, what: str, longest: int) -> str:
    """What a person wrote that goes into WORM; `FormatError`."""
    if not text.strip() or len(text) > longest or not text.isprintable():
        raise FormatError(f"{what} has 1 to {longest} printable characters")
    return text

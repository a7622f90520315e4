"""A hold as its private object has it: filed, declared, its release filed, released. Pure.

    filed → active → leaving → approved → released → lifted

It holds from the moment it is filed until its release is declared. A customer's tags lie here and
nowhere else, and go once nothing in the store has to be lifted any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from hashlib import sha256
from typing import Any

from audit_stream.errors import FormatError, RequestError
from audit_stream.evidence.canonical import canonical, check_members
from audit_stream.evidence.hold import (
    Action,
    HoldEntry,
    Kind,
    Scope,
    check_hold_id,
    check_said,
    check_two,
    opens,
    scope_of,
)
from audit_stream.evidence.persons import check_second_person, is_one_person
from audit_stream.evidence.redaction import check_actor
from audit_stream.privacy.keytree import TAG_BYTES
from audit_stream.privacy.private_object import FOLDER

VERSION = "audit-hold-file/1"
HOLDS = f"{FOLDER}holds/"
KEYS = f"{FOLDER}hold-keys/"


class State(Enum):
    """Where a hold is."""

    FILED = "filed"  # it holds already; its declaration is to be appended
    ACTIVE = "active"  # declared
    LEAVING = "leaving"  # one person filed its release
    APPROVED = "approved"  # a second one approved that; to be appended
    RELEASED = "released"  # holds nothing; what the store holds for it is to be lifted
    LIFTED = "lifted"  # over, and without tags


_LEAVING = frozenset((State.LEAVING, State.APPROVED, State.RELEASED))
HOLDING = frozenset((State.FILED, State.ACTIVE, State.LEAVING, State.APPROVED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """How a hold ends. Times are RFC 3339."""

    filed_by: str
    filed_at: str
    reason: str
    approved_by: str | None = None
    approved_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold."""

    hold_id: str
    state: State = State.FILED
    scope: Scope
    tags: Sequence[bytes] = field(default=(), repr=False)  # of a customer: all there are
    secret: bytes | None = field(default=None, repr=False)  # opens the commitment
    matter: str
    custodian: str
    reason: str
    declared_by: str
    approved_by: str
    filed_at: str
    release: Release | None = None
    released_at: str | None = None

    def __post_init__(self) -> None:
        check_hold_id(self.hold_id)
        check_said(self.matter, self.custodian, self.reason)
        check_two(self.declared_by, self.approved_by)

    @property
    def name(self) -> str:
        """Of its private object."""
        return hold_name(self.hold_id)

    @property
    def key(self) -> str:
        """The private object that names the one hold of a matter and scope."""
        held = sorted(tag.hex() for tag in self.tags) or sorted(self.scope.values)
        said = canonical([self.matter, self.scope.kind.value, held])
        return f"{KEYS}{sha256(said).hexdigest()[:32]}"

    @property
    def is_lost(self) -> bool:
        """By customer, and nobody knows which: it holds everybody until it is released."""
        return self.scope.kind is Kind.CUSTOMER and not self.tags

    def leaving(self, by: str, at: str, reason: str) -> Hold:
        """Its release filed; again by the same person changes nothing."""
        check_actor(by)
        check_said(self.matter, self.custodian, reason)
        if self.state is State.FILED:
            raise RequestError(
                f"{self.hold_id} is not declared yet",
                hint="audit-stream hold run declares what was filed; then release it",
            )
        filed = self.release if self.state in HOLDING else None
        if filed is not None and not is_one_person(by, filed.filed_by):
            raise RequestError(
                f"the release of {self.hold_id} was filed by {filed.filed_by}",
                hint=f"approve it: audit-stream hold approve {self.hold_id}",
            )
        if self.state is not State.ACTIVE:
            return self
        return replace(self, state=State.LEAVING,
                       release=Release(filed_by=by, filed_at=at, reason=reason))  # fmt: skip

    def approved(self, by: str, at: str) -> Hold:
        """Its release approved by a second person; repeated, it changes nothing."""
        check_actor(by)
        if self.release is None:
            raise RequestError(
                f"nobody filed a release of {self.hold_id}",
                hint=f"file it: audit-stream hold release {self.hold_id}",
            )
        check_second_person(by, self.release.filed_by, f"the release of {self.hold_id}")
        if self.state is not State.LEAVING:
            return self
        approved = replace(self.release, approved_by=by, approved_at=at)
        return replace(self, state=State.APPROVED, release=approved)

    def declared(self) -> Hold:
        """The declaration stands in the register."""
        return replace(self, state=State.ACTIVE) if self.state is State.FILED else self

    def released(self, at: str) -> Hold:
        """The release stands in the register."""
        if self.state not in HOLDING:
            return self
        return replace(self, state=State.RELEASED, released_at=at)

    def lifted(self) -> Hold:
        """Nothing in the store is held for it; whose it was can still be shown to who knows the
        customer, for `secret` stays."""
        return replace(self, state=State.LIFTED, tags=())

    def entry(self, action: Action, at: str) -> HoldEntry:
        """The register's entry that is due."""
        by, approver, reason = self.declared_by, self.approved_by, self.reason
        if action is Action.RELEASED:
            if self.release is None or self.release.approved_by is None:
                raise RequestError(f"no second person approved the release of {self.hold_id}")
            by, approver, reason = (
                self.release.filed_by, self.release.approved_by, self.release.reason
            )  # fmt: skip
        return HoldEntry(
            action=action, approved_by=approver, custodian=self.custodian, declared_by=by,
            hold_id=self.hold_id, matter=self.matter, reason=reason, scope=self.scope, time=at,
        )  # fmt: skip

    def encode(self) -> dict[str, Any]:
        """As a private object's value."""
        release = self.release
        return {
            "approved_by": self.approved_by, "custodian": self.custodian,
            "declared_by": self.declared_by, "filed_at": self.filed_at, "hold_id": self.hold_id,
            "matter": self.matter, "reason": self.reason,
            "release": None if release is None else {
                name: getattr(release, name) for name in Release.__dataclass_fields__
            },
            "released_at": self.released_at, "scope": self.scope.said(),
            "secret": None if self.secret is None else self.secret.hex(),
            "state": self.state.value, "tags": [tag.hex() for tag in self.tags], "v": VERSION,
        }  # fmt: skip


_MEMBERS = frozenset(Hold.__dataclass_fields__) | {"v"}


def decode_hold(value: Mapping[str, Any], what: str) -> Hold:
    """The inverse of `Hold.encode`; `FormatError`."""
    check_members(value, VERSION, _MEMBERS, what)
    taken = {"v", "state", "scope", "tags", "secret", "release"}
    try:
        release = None if value["release"] is None else Release(**value["release"])
        hold = Hold(
            **{name: value[name] for name in _MEMBERS - taken}, state=State(value["state"]),
            scope=scope_of(value["scope"], what), release=release,
            tags=tuple(bytes.fromhex(tag) for tag in value["tags"]),
            secret=None if value["secret"] is None else bytes.fromhex(value["secret"]),
        )  # fmt: skip
    except (TypeError, ValueError, KeyError) as error:
        raise FormatError(f"{what} is not a hold") from error
    _check(hold, what)
    return hold


def _check(hold: Hold, what: str) -> None:
    if any(len(tag) != TAG_BYTES for tag in hold.tags):
        raise FormatError(f"{what} holds something other than tags")
    if hold.scope.kind is not Kind.CUSTOMER or hold.state is State.LIFTED:
        return
    if hold.secret is None and hold.is_lost and hold.state in _LEAVING:
        return
    if hold.secret is None or not opens(hold.scope, hold.secret, hold.tags):
        raise FormatError(f"{what} does not open its own commitment")


def lost_hold(entry: HoldEntry) -> Hold:
    """A declared hold of which only the register's entry is left, so that it can be released."""
    return Hold(
        hold_id=entry.hold_id, state=State.ACTIVE, scope=entry.scope, matter=entry.matter,
        custodian=entry.custodian, reason=entry.reason, declared_by=entry.declared_by,
        approved_by=entry.approved_by, filed_at=entry.time,
    )  # fmt: skip


def hold_name(hold_id: str) -> str:
    """Of a hold's private object."""
    return HOLDS + check_hold_id(hold_id)

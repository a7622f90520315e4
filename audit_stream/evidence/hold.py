"""A legal hold, declared or released, `audit-hold/1`: an entry of the register of holds.

What is held may be named where it stands in the archive anyway: messages, workflows, source
ranges. A customer may not, nor their tags: `commitment` binds the entry to the tags, which lie
sealed outside WORM (formats.md section 3).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Any

from audit_stream.errors import FormatError
from audit_stream.evidence.encoding import hex_decode, is_time
from audit_stream.evidence.persons import is_one_person
from audit_stream.evidence.redaction import check_actor, check_reference
from audit_stream.evidence.register import Entry, Register

HOLD_ID_BYTES = 8
MOST_VALUES = 1000
_HOLD_ID = re.compile(r"h-[0-9a-f]{16}").fullmatch
#: Of messages and workflows: no @ and no +, so that no address is declared for ever by mistake.
_ID = re.compile(r"[A-Za-z0-9._:/#=~|{}-]{1,256}").fullmatch
_RANGE = re.compile(
    r"(?P<topic>[A-Za-z0-9._-]{1,249})/(?P<generation>\d{1,10})/(?P<partition>\d{1,10})/"
    r"(?P<first>\d{1,19})-(?P<last>\d{1,19})"
).fullmatch


class Action(Enum):
    """What an entry says of a hold."""

    DECLARED = "declared"
    RELEASED = "released"


class Kind(Enum):
    """By what a hold names what it holds."""

    CUSTOMER = "customer"
    MESSAGE = "message"
    WORKFLOW = "workflow"
    RANGE = "range"


@dataclass(frozen=True, slots=True)
class SourceRange:
    """Offsets of one partition, both ends included."""

    topic: str
    generation: int
    partition: int
    first: int
    last: int

    @property
    def place(self) -> tuple[str, int, int]:
        """Topic, generation, partition."""
        return self.topic, self.generation, self.partition


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a hold holds, as it may stand in WORM."""

    kind: Kind
    values: tuple[str, ...] = ()  # ids, or ranges ``topic/generation/partition/first-last``
    commitment: str | None = None  # of a customer's tags

    def __post_init__(self) -> None:
        by_customer = self.kind is Kind.CUSTOMER
        if (self.commitment is not None) != by_customer or bool(self.values) == by_customer:
            raise FormatError("a hold by customer has a commitment, any other its values")
        if len(set(self.values)) != len(self.values) or len(self.values) > MOST_VALUES:
            raise FormatError(f"a hold names 1 to {MOST_VALUES} values, each once")
        for value in self.values:
            if self.kind is Kind.RANGE:
                parse_range(value)
            else:
                check_id(value)

    @property
    def ranges(self) -> tuple[SourceRange, ...]:
        """Of a hold by range."""
        return tuple(map(parse_range, self.values)) if self.kind is Kind.RANGE else ()

    def said(self) -> dict[str, Any]:
        """As the entry's member."""
        if self.commitment is not None:
            return {"commitment": self.commitment, "kind": self.kind.value}
        return {"kind": self.kind.value, "values": list(self.values)}


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldEntry:
    """The members of an entry that are its own, as formats.md has them."""

    action: Action
    approved_by: str  # another person than declared_by
    custodian: str
    declared_by: str  # who filed the declaration, or the release
    hold_id: str
    matter: str
    reason: str
    scope: Scope
    time: str

    def said(self) -> dict[str, Any]:
        """As the entry's members."""
        texts = {name: getattr(self, name) for name in _TEXTS}
        return {**texts, "action": self.action.value, "scope": self.scope.said()}


_TEXTS = ("approved_by", "custodian", "declared_by", "hold_id", "matter", "reason", "time")
_MEMBERS = frozenset((*_TEXTS, "action", "scope"))


def hold_of(entry: Entry) -> HoldEntry:
    """What an entry says of a hold; `FormatError` when it is none of this kind."""
    said, what = entry.said, entry.name
    if entry.register is not Register.HOLDS or said.keys() != _MEMBERS:
        raise FormatError(f"{what} does not have the members of {Register.HOLDS.value}")
    for name in _TEXTS:
        if type(said[name]) is not str:
            raise FormatError(f"{what} {name} is not a text")
    if not is_time(said["time"]):
        raise FormatError(f"{what} time is not a time")
    check_hold_id(said["hold_id"])
    check_said(said["matter"], said["custodian"], said["reason"])
    check_two(said["declared_by"], said["approved_by"])
    try:
        action = Action(said["action"])
    except ValueError:
        raise FormatError(f"{what} action is neither declared nor released") from None
    texts = {name: said[name] for name in _TEXTS}
    return HoldEntry(action=action, scope=scope_of(said["scope"], what), **texts)


def scope_of(said: Any, what: str) -> Scope:
    """The inverse of `Scope.said`; `FormatError`."""
    if not isinstance(said, Mapping) or not isinstance(said.get("kind"), str):
        raise FormatError(f"{what} scope is not an object with a kind")
    try:
        kind = Kind(said["kind"])
    except ValueError:
        raise FormatError(f"{what} scope has an unknown kind") from None
    if kind is Kind.CUSTOMER and said.keys() == {"commitment", "kind"}:
        hex_decode(said["commitment"], f"{what} commitment")
        return Scope(kind=kind, commitment=said["commitment"])
    values = said.get("values")
    if said.keys() != {"kind", "values"} or not isinstance(values, list):
        raise FormatError(f"{what} scope does not have the members of its kind")
    if not all(type(value) is str for value in values):
        raise FormatError(f"{what} scope holds something other than texts")
    return Scope(kind=kind, values=tuple(values))


def commitment(secret: bytes, tags: Iterable[bytes]) -> str:
    """SHA-256(32 random bytes || the customer's tags, sorted), hex."""
    return sha256(secret + b"".join(sorted(tags))).hexdigest()


def opens(scope: Scope, secret: bytes, tags: Iterable[bytes]) -> bool:
    """Whether these are the very tags that a hold by customer is about."""
    return scope.commitment is not None and hmac.compare_digest(
        commitment(secret, tags), scope.commitment
    )


def parse_range(text: str) -> SourceRange:
    """``topic/generation/partition/first-last``; `FormatError`."""
    match = _RANGE(text)
    if match is None or int(match["last"]) < int(match["first"]):
        raise FormatError("a source range is topic/generation/partition/first-last")
    found = SourceRange(match["topic"], *map(int, match.group(2, 3, 4, 5)))
    if f"{'/'.join(map(str, found.place))}/{found.first}-{found.last}" != text:
        raise FormatError("the numbers of a source range have no leading zeros")
    return found


def check_hold_id(text: str) -> str:
    """``h-`` and 16 hexadecimal digits; `FormatError`."""
    if not _HOLD_ID(text):
        raise FormatError("a hold's id is h- and 16 hexadecimal digits")
    return text


def check_id(text: str) -> str:
    """The id of a message or workflow, which stands in WORM; `FormatError`."""
    if not _ID(text):
        raise FormatError("an id has 1 to 256 letters, digits and . _ : / # = ~ | { } -")
    return text


def check_said(matter: str, custodian: str, reason: str) -> None:
    """What stands in WORM beside the scope: references and an id, no names; `FormatError`."""
    check_reference(matter)
    check_reference(reason)
    check_actor(custodian)


def check_two(one: str, other: str) -> None:
    """Two ids, and not one person's; `FormatError`."""
    if is_one_person(check_actor(one), check_actor(other)):
        raise FormatError("a hold takes two persons")

"""The batch of erasures at work: its journal, which says after a crash where to go on. Pure.

The steps, in their order (evidence: what each may rely on is what the one before has made last):

    taken      the requests are its own, and no hold stands against them
    punctured  the keyring's covers derive none of their keys; views, and everybody, are told
    passed     no process holds the old keys, and nothing that one sealed can still come to stand
    counted    whose records they were is committed to; the openings wait for the requesters
    zeroed     no subject object links a record to any of them
    destroyed  the last copies of the old covers known to us are gone
    notified   who had been sent their fields has acknowledged that they are to be erased
    certified  each has its certificate; what was known of them is gone but for that
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import IntEnum
from typing import Any, Self

from audit_stream.erasure.notice import Notice
from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import check_members
from audit_stream.privacy.private_object import FOLDER

VERSION = "audit-erasing/1"
JOURNAL = f"{FOLDER}erasing"
MOST_REQUESTS = 1_000


class Step(IntEnum):
    """What is done."""

    TAKEN = 1
    PUNCTURED = 2
    PASSED = 3
    COUNTED = 4
    ZEROED = 5
    DESTROYED = 6
    NOTIFIED = 7
    CERTIFIED = 8


@dataclass(frozen=True, slots=True)
class Item:
    """One request of the batch."""

    ref: str
    tags: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was committed to for one request."""

    certificate_id: str
    commitment: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The journal. Times are RFC 3339."""

    step: Step = Step.TAKEN
    items: Sequence[Item]
    epochs: tuple[int, int]  # of the keyring before and after
    covers: Sequence[Mapping[str, Any]] = ()  # of each tree {"after","before","first_epoch"}
    punctured_at: str | None = None
    acknowledged: int = 0
    excused: Sequence[Mapping[str, str]] = ()
    counted: Mapping[str, Counted] = field(default_factory=dict)  # by reference
    keys_destroyed: str = ""
    keys_destroyed_at: str | None = None
    executed_at: str | None = None
    notice: Notice | None = None  # None: nobody was ever sent personal fields
    targets: Sequence[Mapping[str, str]] = ()  # {"at","receipt","target"}

    @property
    def tags(self) -> set[bytes]:
        """Of everybody in it."""
        return {tag for item in self.items for tag in item.tags}

    def same_as(self, other: Batch) -> bool:
        """Whether both are one batch, whatever is done of it."""
        return self.epochs == other.epochs and list(self.items) == list(other.items)

    def done(self, step: Step, **facts: Any) -> Self:
        """The same, one step further."""
        return replace(self, step=step, **facts)

    def encode(self) -> dict[str, Any]:
        """As a private object's value."""
        value = asdict(self)
        value["step"] = self.step.name.lower()
        value["items"] = [
            {"ref": item.ref, "tags": [tag.hex() for tag in item.tags]} for item in self.items
        ]
        return value | {"v": VERSION}


_MEMBERS = frozenset(Batch.__dataclass_fields__) | {"v"}


def decode_batch(value: Mapping[str, Any], what: str = JOURNAL) -> Batch:
    """The inverse of `Batch.encode`; `FormatError`."""
    check_members(value, VERSION, _MEMBERS, what)
    try:
        rest = {
            name: value[name]
            for name in _MEMBERS - {"v", "step", "items", "epochs", "counted", "notice"}
        }
        return Batch(
            **rest, step=Step[value["step"].upper()],
            items=[Item(each["ref"], tuple(map(bytes.fromhex, each["tags"])))
                   for each in value["items"]],
            epochs=(value["epochs"][0], value["epochs"][1]),
            counted={ref: Counted(**each) for ref, each in value["counted"].items()},
            notice=None if value["notice"] is None else Notice.decode(value["notice"]),
        )  # fmt: skip
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{what} is not the journal of a batch") from error

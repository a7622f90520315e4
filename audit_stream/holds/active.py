"""Which holds are active, and what they hold: asked right before an erasure, and of each segment.

Active is what is declared and not released, and what is only filed, be it under the id of a hold
that was released. A declared hold by customer whose private object is gone holds everybody: nobody
can say whom it does not hold.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

from audit_stream.archive.register import RegisterReader
from audit_stream.evidence.hold import Action, HoldEntry, Kind, Scope, hold_of
from audit_stream.evidence.register import Entry
from audit_stream.holds.filing import Holds
from audit_stream.holds.hold import HOLDING, Hold, State
from audit_stream.privacy.subject_object import split_tags

K = TypeVar("K", str, bytes)
Place = tuple[str, int, int]  # topic, generation, partition
#: The values of a field in record lines. A text inside another has its quotes escaped, and the ids
#: that holds may name need no escape.
_MESSAGES = re.compile(rb'"message_uuid":"([^"\\]*)"').findall
_WORKFLOWS = re.compile(rb'"originating_workflow_id":"([^"\\]*)"').findall


class Fact(Protocol):
    """What is asked of a person's record."""

    @property
    def message(self) -> str:
        """`message_uuid` of the record."""
        ...

    @property
    def workflow(self) -> str:
        """`originating_workflow_id` of the record."""
        ...

    @property
    def source(self) -> str:
        """``topic/generation/partition/offset``."""
        ...


class RecordFact(NamedTuple):
    """The plainest `Fact`."""

    message: str
    workflow: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveHold:
    """One hold that holds."""

    hold_id: str
    scope: Scope
    tags: frozenset[bytes] = field(default=frozenset(), repr=False)
    declared: bool = True  # False: filed only
    lost: bool = False  # by customer, and nobody knows which: everybody is held


class ActiveHolds:
    """All of them, made to be asked often."""

    def __init__(self, holds: Iterable[ActiveHold] = ()) -> None:
        self.holds = tuple(holds)
        self._lost = {each.hold_id for each in self.holds if each.lost}
        self._tags = _by((each.hold_id, tag) for each in self.holds for tag in each.tags)
        self._messages = self._named(Kind.MESSAGE)
        self._workflows = self._named(Kind.WORKFLOW)
        self._ranges: dict[Place, list[tuple[int, int, str]]] = {}
        for each in self.holds:
            for part in each.scope.ranges:
                found = self._ranges.setdefault(part.place, [])
                found.append((part.first, part.last, each.hold_id))

    def _named(self, kind: Kind) -> dict[str, set[str]]:
        held = (each for each in self.holds if each.scope.kind is kind)
        return _by((each.hold_id, value) for each in held for value in each.scope.values)

    def __bool__(self) -> bool:
        return bool(self.holds)

    def blocks_tags(self, tags: Collection[bytes]) -> list[str]:
        """Ids of the holds by customer against a person of these tags, without looking at records.

        Nothing found does not mean that nothing is held: `against` looks at the records, too.
        """
        found = set(self._lost)
        for tag in tags:
            found |= self._tags.get(tag, set())
        return sorted(found)

    def against(self, tags: Collection[bytes], facts: Iterable[Fact]) -> list[str]:
        """Ids of all holds against the person of these tags, whose records `facts` tells of."""
        found = set(self.blocks_tags(tags))
        if self.needs_facts:
            for fact in facts:
                found |= self.of(fact)
        return sorted(found)

    @property
    def needs_facts(self) -> bool:
        """Whether any hold is by what records say: else `against` reads none."""
        return bool(self._messages or self._workflows or self._ranges)

    @property
    def range_places(self) -> Collection[Place]:
        """Where holds by range are."""
        return self._ranges.keys()

    def of(self, fact: Fact) -> set[str]:
        """Ids of the holds by message, workflow or range that hold one record."""
        found = self._messages.get(fact.message, set()) | self._workflows.get(fact.workflow, set())
        if self._ranges:
            topic, generation, partition, offset = fact.source.rsplit("/", 3)
            place = (topic, int(generation), int(partition))
            found = found | self._in_range(place, int(offset), int(offset) + 1)
        return found

    # Of a whole segment

    @property
    def needs_tags(self) -> bool:
        """Whether `in_segment` looks at tags."""
        return bool(self._tags or self._lost)

    @property
    def needs_body(self) -> bool:
        """Whether `in_segment` looks at records."""
        return bool(self._messages or self._workflows)

    @property
    def by_tags(self) -> set[str]:
        """Ids of those that look at tags."""
        return self._lost.union(*self._tags.values())

    @property
    def by_body(self) -> set[str]:
        """Ids of those that look at records."""
        return set[str]().union(*self._messages.values(), *self._workflows.values())

    def in_segment(
        self, place: Place, base: int, stop: int, tags: bytes, body: Callable[[], bytes]
    ) -> set[str]:
        """Ids of the holds that hold any record of the segment with the offsets [base, stop).

        `tags`: one behind the other. `body`: the record lines; not called where no hold needs it.
        """
        found = self._in_range(place, base, stop)
        if tags:
            found |= self._lost
        if self._tags:
            for tag in self._tags.keys() & set(split_tags(tags)):
                found |= self._tags[tag]
        if self.needs_body:
            lines = body()
            found |= _among(self._messages, _MESSAGES, lines)
            found |= _among(self._workflows, _WORKFLOWS, lines)
        return found

    def _in_range(self, place: Place, base: int, stop: int) -> set[str]:
        parts = self._ranges.get(place, ())
        return {hold_id for first, last, hold_id in parts if first < stop and base <= last}


def _by(pairs: Iterable[tuple[str, K]]) -> dict[K, set[str]]:
    found: dict[K, set[str]] = {}
    for hold_id, key in pairs:
        found.setdefault(key, set()).add(hold_id)
    return found


def _among(
    held: Mapping[str, set[str]], values: Callable[[bytes], list[bytes]], lines: bytes
) -> set[str]:  # fmt: skip
    """Ids of the holds by any of the values that the lines have."""
    found: set[str] = set()
    if held:
        for value in {each.encode() for each in held} & set(values(lines)):
            found |= held[value.decode()]
    return found


class HoldsReader:
    """Reads what is active: the register first, then the private objects."""

    def __init__(self, register: RegisterReader, holds: Holds) -> None:
        self._register, self._holds = register, holds
        self.standing: dict[str, HoldEntry] = {}  # by hold id: the newest entry
        self._unread: deque[Entry] = deque()  # followed, and not understood yet

    async def entries(self) -> Sequence[Entry]:
        """Follow the register; what came since."""
        news = await self._register.new_entries()
        self._unread += news
        while self._unread:  # one that is none of ours raises, now and whenever it is asked again
            said = hold_of(self._unread[0])
            self.standing[said.hold_id] = said
            self._unread.popleft()
        return news

    async def now(self) -> ActiveHolds:
        """All that is active. `StoreError`, `FormatError`, `ForkAlarm`: then nothing is known."""
        await self.entries()
        files = {each.hold_id: each for each in await self._holds.all()}
        if any(each.lost for each in self._active(files)):  # or it was released while we read
            await self.entries()
        return ActiveHolds(self._active(files))

    def _active(self, files: dict[str, Hold]) -> list[ActiveHold]:
        declared = [each for each in self.standing.values() if each.action is Action.DECLARED]
        active = [declared_hold(each, files.get(each.hold_id)) for each in declared]
        return active + [
            # Of those under a released id the enforcer looks what they hold, as of declared ones.
            ActiveHold(hold_id=each.hold_id, scope=each.scope, tags=frozenset(each.tags),
                       declared=each.hold_id in self.standing)
            for each in files.values() if self._is_only_filed(each)
        ]  # fmt: skip

    def _is_only_filed(self, hold: Hold) -> bool:
        """The private objects are read behind the register: of a hold that it has released they say
        so, too, or that two persons ended it. One that holds was filed once more."""
        entry = self.standing.get(hold.hold_id)
        if entry is None:
            return hold.state in HOLDING
        ended = hold.state is State.APPROVED or hold.state not in HOLDING
        return entry.action is Action.RELEASED and not ended


def declared_hold(entry: HoldEntry, file: Hold | None) -> ActiveHold:
    """By the register's word; the private object has only the tags."""
    tags = frozenset(() if file is None or file.scope != entry.scope else file.tags)
    lost = entry.scope.kind is Kind.CUSTOMER and not tags
    return ActiveHold(hold_id=entry.hold_id, scope=entry.scope, tags=tags, lost=lost)

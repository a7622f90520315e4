"""Making the store hold what is declared, and lifting what is not any more: a reconciler.

Where objects have holds of their own, each segment with a held record gets one and is read back;
where only the container has, its tag stands while any hold is active; elsewhere nothing can be
enforced, and the difference is told. For one process at a time (`keys.lock` of another folder).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from audit_stream.archive.private import PrivateObjects
from audit_stream.archive.streams import read_stream
from audit_stream.errors import StoreError
from audit_stream.evidence import layout
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.holds.active import ActiveHold, ActiveHolds, HoldsReader, Place
from audit_stream.holds.filing import Holds
from audit_stream.holds.hold import Hold, State
from audit_stream.holds.journal import HeldJournal, Where, forget_journal, read_journal
from audit_stream.holds.looking import Looking, Slot
from audit_stream.ports import ContainerHolds, HoldLevel, SubjectStore, WormStore

log = logging.getLogger(__name__)
#: A worker may set a hold that was released a moment ago: it looks every minute.
GRACE = timedelta(minutes=5)
_CHUNK = 2_000  # segments looked into between two writes of the journals


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforced:
    """What a pass left: `missing` are the declared holds that the store does not hold in full."""

    level: HoldLevel
    declared: int
    missing: Sequence[str] = ()
    segments: int = 0  # held, by all holds
    failures: Sequence[str] = field(default=())  # what the store refused, in words


def container_tag(archive: str) -> str:
    """The tag of a container's hold: ours, whatever others set beside it."""
    return f"h{sha256(archive.encode()).hexdigest()[:16]}"


class Enforcing:
    """Of one archive."""

    def __init__(
        self, store: WormStore, subjects: SubjectStore, container: ContainerHolds | None,
        private: PrivateObjects, reader: HoldsReader, keys: TrustedKeys, archive: str,
        index_key: bytes,
    ) -> None:  # fmt: skip
        self._store, self._container = store, container
        self._private, self._reader, self._keys = private, reader, keys
        self._holds = Holds(private)
        self._tag = container_tag(archive)
        self._looking = Looking(store, subjects, index_key)

    async def run(self, now: str, *, recheck: bool = False) -> Enforced:
        """One pass. `recheck`: read every hold back, not only what is new."""
        level = await self._store.hold_level()
        active = (await self._reader.now()).holds
        declared = [each for each in active if each.declared]
        released = [each for each in await self._holds.all() if each.state is State.RELEASED]
        if level is HoldLevel.OBJECT:
            if len(declared) < len(active):  # nobody has looked yet what the filed ones hold
                released = []
            return await self._objects(declared, released, now, recheck)
        missing = [each.hold_id for each in declared]
        failures: Sequence[str] = ()
        if level is HoldLevel.CONTAINER:
            held, failures = await self._hold_container(bool(active))
            missing = [] if held else missing
        for hold in released:
            journal = await read_journal(self._private, hold.hold_id)
            if not journal.segments:  # no object is held for it
                await self._holds.change(hold.hold_id, Hold.lifted)
        return Enforced(level=level, declared=len(declared), missing=missing, failures=failures)

    async def _hold_container(self, wanted: bool) -> tuple[bool, Sequence[str]]:
        """Whether our tag stands as wanted, read back."""
        if self._container is None:
            why = "the management plane is not set: AUDIT_AZURE_SUBSCRIPTION, …_RESOURCE_GROUP"
            return False, (why,) if wanted else ()
        try:
            if (self._tag in await self._container.tags()) is not wanted:
                await self._container.set_tag(self._tag, wanted)
            return (self._tag in await self._container.tags()) is wanted, ()
        except StoreError as error:
            return False, (str(error),)

    # Object by object

    async def _objects(
        self, declared: Sequence[ActiveHold], released: Sequence[Hold], now: str, recheck: bool
    ) -> Enforced:
        ids = [*(each.hold_id for each in declared), *(each.hold_id for each in released)]
        journals = {each: await read_journal(self._private, each) for each in ids}
        leaving = [
            ActiveHold(hold_id=each.hold_id, scope=each.scope, tags=frozenset(each.tags),
                       lost=each.is_lost)
            for each in released
        ]  # fmt: skip
        await self._scan(ActiveHolds([*declared, *leaving]), journals)
        failures: list[str] = []
        active = [journals[each.hold_id] for each in declared]
        for journal in active:
            await self._push(journal, recheck, failures)
        kept = set[Where]().union(*(journal.segments for journal in active))
        for hold in released:
            if datetime.fromisoformat(now) - _released_at(hold) >= GRACE:
                await self._lift(hold, journals[hold.hold_id], kept, failures)
        lost = {each.hold_id for each in declared if each.lost}
        missing = [each.hold_id for each in active if each.owed or each.hold_id in lost]
        return Enforced(
            level=HoldLevel.OBJECT, declared=len(declared), missing=missing, segments=len(kept),
            failures=failures,
        )  # fmt: skip

    async def _scan(self, holds: ActiveHolds, journals: dict[str, HeldJournal]) -> None:
        """Look into the segments that a hold has not seen yet, and note what it holds."""
        if not holds:
            return
        for place in await self._places():
            seen = [journal.cursors.get(place, -1) for journal in journals.values()]
            after = min(seen)
            slots = await self._looking.slots(place, None if after < 0 else after, holds.needs_tags)
            for start in range(0, len(slots), _CHUNK):
                await self._note(holds, journals, place, slots[start : start + _CHUNK])

    async def _places(self) -> list[Place]:
        names = [name for name in await self._store.names("streams/")
                 if layout.parse_stream_name(name) is not None]  # fmt: skip
        streams = [await read_stream(self._store, self._keys, name) for name in names]
        return [
            (each.topic, each.generation, partition)
            for each in streams
            for partition in range(each.partitions)
        ]

    async def _note(
        self, holds: ActiveHolds, journals: dict[str, HeldJournal], place: Place,
        slots: Sequence[Slot],
    ) -> None:  # fmt: skip
        held = await self._looking.holders(holds, place, slots)
        for hold_id, journal in journals.items():
            cursor = journal.cursors.get(place, -1)
            new = {slot.base for slot, ids in zip(slots, held, strict=True)
                   if hold_id in ids and slot.base > cursor}  # fmt: skip
            if slots[-1].base > cursor:
                journal.cursors[place] = slots[-1].base
                journal.note(place, new, owed=new)
                await journal.keep(self._private)

    async def _push(self, journal: HeldJournal, recheck: bool, failures: list[str]) -> None:
        """Hold what is owed, or all of it, and read it back."""
        for part in journal.parts:
            left = set[int]()
            for base in sorted(part.bases if recheck else part.owed):
                if not await self._set((part.place, base), True, failures):
                    left.add(base)
            part.settle(left)
            await part.keep(self._private)

    async def _lift(
        self, hold: Hold, journal: HeldJournal, kept: set[Where], failures: list[str]
    ) -> None:
        """Lift what no other hold holds; when all of it is, the hold's tags go."""
        lifted = [await self._set(where, False, failures)
                  for where in sorted(journal.segments - kept)]  # fmt: skip
        if all(lifted):
            await self._holds.change(hold.hold_id, Hold.lifted)
            await forget_journal(self._private, hold.hold_id)

    async def _set(self, where: Where, held: bool, failures: list[str]) -> bool:
        """Whether everything at this place stands as wanted, read back."""
        try:
            return all(
                [await self._one(name, held) for name in await segment_names(self._store, where)]
            )
        except StoreError as error:
            log.warning("%s", error)
            failures.append(str(error))
            return False

    async def _one(self, name: str, held: bool) -> bool:
        if await self._store.held(name) is not held:
            await self._store.set_hold(name, held)
        return await self._store.held(name) is held


async def segment_names(store: WormStore, where: Where) -> Sequence[str]:
    """The segment at a base, and junk under its name; none once it was disposed of."""
    place, base = where
    folder = layout.segment_folder(*place)
    return await store.names(f"{layout.at_base(folder, base)}.")


def _released_at(hold: Hold) -> datetime:
    return datetime.fromisoformat(hold.released_at or "9999-12-31T00:00:00.000Z")

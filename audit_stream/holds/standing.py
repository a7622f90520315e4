"""How each hold stands: what is declared of it, and whether the store holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import StoreError
from audit_stream.evidence.hold import Action, Scope
from audit_stream.holds.active import HoldsReader, declared_hold
from audit_stream.holds.enforcing import container_tag, segment_names
from audit_stream.holds.filing import Holds
from audit_stream.holds.hold import HOLDING, Hold
from audit_stream.holds.journal import HeldJournal, read_journal
from audit_stream.ports import ContainerHolds, HoldLevel, WormStore

LOST = "lost"  # in place of a state: declared by customer, and the private object is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldStanding:
    """One hold."""

    hold_id: str
    state: str  # a `State`, or `LOST`
    scope: Scope
    matter: str
    custodian: str
    declared_by: str
    approved_by: str
    since: str  # when it was filed
    declared: bool  # it stands in the register, and no release does
    enforced: bool  # and the store holds all of it
    segments: int = 0  # held for it, where each object has a hold of its own

    @property
    def missing(self) -> bool:
        """Declared, and not enforced."""
        return self.declared and not self.enforced


class Standings:
    """Looks at all holds; changes nothing."""

    def __init__(
        self, store: WormStore, container: ContainerHolds | None, private: PrivateObjects,
        reader: HoldsReader, archive: str,
    ) -> None:  # fmt: skip
        self._store, self._container = store, container
        self._private, self._reader, self._archive = private, reader, archive

    async def look(self, *, read_back: bool) -> tuple[HoldLevel, Sequence[HoldStanding]]:
        """Every hold, the oldest first. `read_back`: ask the store of each object, which takes a
        request or two for every held segment; else what was read back when it was set."""
        level = await self._store.hold_level()
        await self._reader.entries()
        files = {each.hold_id: each for each in await Holds(self._private).all()}
        container = level is HoldLevel.CONTAINER and await self._container_held()
        found = []
        for hold_id in {**files, **self._reader.standing}:
            journal = await read_journal(self._private, hold_id)
            enforced = container
            if level is HoldLevel.OBJECT:
                enforced = await self._enforced(journal, read_back)
            found.append(self._standing(hold_id, files.get(hold_id), journal, enforced))
        return level, sorted(found, key=lambda each: (each.since, each.hold_id))

    def _standing(
        self, hold_id: str, file: Hold | None, journal: HeldJournal, enforced: bool
    ) -> HoldStanding:  # fmt: skip
        entry = self._reader.standing.get(hold_id)
        declared = entry is not None and entry.action is Action.DECLARED
        said = file or entry
        assert said is not None
        state = file.state.value if file is not None else entry.action.value if entry else ""
        lost = declared and entry is not None and declared_hold(entry, file).lost
        return HoldStanding(
            hold_id=hold_id, state=LOST if lost else state, scope=said.scope, matter=said.matter,
            custodian=said.custodian, declared_by=said.declared_by, approved_by=said.approved_by,
            since=file.filed_at if file is not None else entry.time if entry else "",
            declared=declared, segments=len(journal.segments),
            enforced=enforced and not lost and (file is None or file.state in HOLDING),
        )  # fmt: skip

    async def _container_held(self) -> bool:
        if self._container is None:
            return False
        return container_tag(self._archive) in await self._container.tags()

    async def _enforced(self, journal: HeldJournal, read_back: bool) -> bool:
        if journal.owed or not journal.cursors:
            return False
        if not read_back:
            return True
        try:
            for where in sorted(journal.segments):
                for name in await segment_names(self._store, where):
                    if not await self._store.held(name):
                        return False
        except StoreError:
            return False
        return True

"""What of an archive a hold was pushed to: private objects of each hold, written as it goes.

The journal itself has ``cursors``: by partition, the base of the last segment that was looked at.
Its parts have the segments, by their bases: ``bases``, those of one partition that it holds, and
``owed``, those of them not yet read back as they should be. A part that is full is not written
again for what comes behind it: a hold of millions of segments writes each a few times.

A segment stands here before its hold is set, so that a crash leaves no hold nobody would lift; and
before a cursor is behind it, so that a crash leaves none that nobody looks at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from audit_stream.archive.private import PrivateObjects
from audit_stream.evidence.canonical import check_members
from audit_stream.holds.active import Place
from audit_stream.privacy.private_object import FOLDER

#: Of a journal in one object, with its segments in it: read, and made one with parts.
WHOLE_VERSION = "audit-held/1"
VERSION = "audit-held/2"
PART_VERSION = "audit-held-part/1"
HELD = f"{FOLDER}held/"
PARTS = f"{HELD}parts/"
FULL = 10_000  # segments of a part, some 100 kB
Where = tuple[Place, int]  # a partition, and the base of a segment of it


@dataclass(slots=True)
class HeldPart:
    """A stretch of one partition."""

    name: str
    place: Place
    bases: set[int] = field(default_factory=set)
    owed: set[int] = field(default_factory=set)
    changed: bool = False  # since it was stored

    def note(self, bases: set[int], owed: set[int]) -> None:
        """These are held, too."""
        self.bases |= bases
        self.owed |= owed
        self.changed = True

    def settle(self, owed: set[int]) -> None:
        """The others were read back as they should be."""
        self.changed = self.changed or owed != self.owed
        self.owed = owed

    async def keep(self, private: PrivateObjects) -> None:
        """Write it, if there is anything new."""
        if self.changed:
            await _write(private, self.name, {
                "bases": sorted(self.bases), "owed": sorted(self.owed), "place": _text(self.place),
                "v": PART_VERSION,
            })  # fmt: skip
            self.changed = False


@dataclass(slots=True)
class HeldJournal:
    """One hold's."""

    hold_id: str
    cursors: dict[Place, int] = field(default_factory=dict)
    parts: list[HeldPart] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the private object with the cursors."""
        return HELD + self.hold_id

    @property
    def segments(self) -> set[Where]:
        """All that it holds."""
        return {(part.place, base) for part in self.parts for base in part.bases}

    @property
    def owed(self) -> bool:
        """Whether any of them was not read back yet."""
        return any(part.owed for part in self.parts)

    def note(self, place: Place, bases: set[int], owed: set[int]) -> None:
        """What of a partition it holds, too."""
        if bases:
            self._last(place).note(bases, owed)

    def _last(self, place: Place) -> HeldPart:
        """The newest part of a partition, or one behind all others where that is full."""
        last = next((each for each in reversed(self.parts) if each.place == place), None)
        if last is None or len(last.bases) >= FULL:
            number = int(self.parts[-1].name.rpartition("/")[2]) + 1 if self.parts else 0
            last = HeldPart(f"{PARTS}{self.hold_id}/{number:08d}", place)
            self.parts.append(last)
        return last

    async def keep(self, private: PrivateObjects) -> None:
        """Write what is new: the cursors last. One process at a time enforces, so the newest word
        is right."""
        for part in self.parts:
            await part.keep(private)
        cursors = {_text(place): base for place, base in self.cursors.items()}
        await _write(private, self.name, {"cursors": cursors, "v": VERSION})


async def read_journal(private: PrivateObjects, hold_id: str) -> HeldJournal:
    """A hold's; an empty one where there is none."""
    journal = HeldJournal(hold_id)
    for part in await private.all(f"{PARTS}{hold_id}/"):
        check_members(part.value, PART_VERSION, {"bases", "owed", "place", "v"}, part.name)
        journal.parts.append(HeldPart(
            part.name, _place(part.value["place"]), set(part.value["bases"]),
            set(part.value["owed"]),
        ))  # fmt: skip
    kept = await private.get(journal.name)
    if kept is None:
        return journal
    if kept.value.get("v") == WHOLE_VERSION:
        check_members(kept.value, WHOLE_VERSION, {"cursors", "owed", "segments", "v"}, kept.name)
        _take_apart(kept.value["segments"], kept.value["owed"], journal)
    else:
        check_members(kept.value, VERSION, {"cursors", "v"}, kept.name)
    journal.cursors = {_place(text): base for text, base in kept.value["cursors"].items()}
    return journal


def _take_apart(
    segments: Mapping[str, list[int]], owed: Mapping[str, list[int]], journal: HeldJournal
) -> None:  # fmt: skip
    """Make parts of a journal in one object, but for those that a crash has left of that."""
    known = journal.segments
    for text, bases in segments.items():
        place, its_owed = _place(text), set(owed.get(text, ()))
        new = [base for base in bases if (place, base) not in known]
        for start in range(0, len(new), FULL):
            part = set(new[start : start + FULL])
            journal.note(place, part, part & its_owed)


async def forget_journal(private: PrivateObjects, hold_id: str) -> None:
    """Remove it: all of it is lifted."""
    for name in await private.names(f"{PARTS}{hold_id}/"):
        await private.discard(name)
    await private.discard(HELD + hold_id)


async def _write(private: PrivateObjects, name: str, value: dict[str, Any]) -> None:
    await private.update(name, lambda _: value)


def _text(place: Place) -> str:
    return "/".join(map(str, place))


def _place(text: str) -> Place:
    topic, generation, partition = text.rsplit("/", 2)
    return topic, int(generation), int(partition)

"""What of an archive a hold was pushed to: a private object for each hold, rewritten as it goes.

``cursors``: by partition, the base of the last segment that was looked at. ``segments``: by
partition, the bases of those it holds. ``owed``: those of them not yet read back as they should be.
A segment stands here before its hold is set, so that a crash leaves no hold nobody would lift.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from audit_stream.archive.private import PrivateObjects
from audit_stream.evidence.canonical import check_members
from audit_stream.holds.active import Place
from audit_stream.privacy.private_object import FOLDER

VERSION = "audit-held/1"
HELD = f"{FOLDER}held/"
Where = tuple[Place, int]  # a partition, and the base of a segment of it


@dataclass(slots=True)
class HeldJournal:
    """One hold's."""

    hold_id: str
    cursors: dict[Place, int] = field(default_factory=dict)
    segments: set[Where] = field(default_factory=set)
    owed: set[Where] = field(default_factory=set)

    @property
    def name(self) -> str:
        """Of its private object."""
        return HELD + self.hold_id

    def encode(self) -> dict[str, Any]:
        """As a private object's value."""
        return {
            "cursors": {_text(place): base for place, base in self.cursors.items()},
            "owed": _grouped(self.owed), "segments": _grouped(self.segments), "v": VERSION,
        }  # fmt: skip

    async def keep(self, private: PrivateObjects) -> None:
        """Write it. One process at a time enforces, so the newest word is right."""
        await private.update(self.name, lambda _: self.encode())


async def read_journal(private: PrivateObjects, hold_id: str) -> HeldJournal:
    """A hold's; an empty one where there is none."""
    kept = await private.get(HELD + hold_id)
    if kept is None:
        return HeldJournal(hold_id)
    check_members(kept.value, VERSION, {"cursors", "owed", "segments", "v"}, kept.name)
    return HeldJournal(
        hold_id, {_place(text): base for text, base in kept.value["cursors"].items()},
        set(_spread(kept.value["segments"])), set(_spread(kept.value["owed"])),
    )  # fmt: skip


async def forget_journal(private: PrivateObjects, hold_id: str) -> None:
    """Remove it: all of it is lifted."""
    kept = await private.get(HELD + hold_id)
    if kept is not None:
        await private.remove(kept)


def _text(place: Place) -> str:
    return "/".join(map(str, place))


def _place(text: str) -> Place:
    topic, generation, partition = text.rsplit("/", 2)
    return topic, int(generation), int(partition)


def _grouped(places: Iterable[Where]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, base in sorted(places):
        found.setdefault(_text(place), []).append(base)
    return found


def _spread(grouped: dict[str, list[int]]) -> Iterator[Where]:
    for text, bases in grouped.items():
        place = _place(text)
        for base in bases:
            yield place, base

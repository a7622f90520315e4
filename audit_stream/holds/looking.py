"""Which segments of a partition a hold holds: from names, subject objects and bodies, as needed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence import layout
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.segment import decode
from audit_stream.holds.active import ActiveHolds, Place
from audit_stream.ports import SubjectStore, WormStore
from audit_stream.privacy.subject_object import decrypt_tags

_AT_ONCE = 16
_NO_END = 1 << 63
_BEHIND = "~"  # sorts behind all that may follow a base in a name


@dataclass(frozen=True, slots=True)
class Slot:
    """All that stands at one base: a segment, junk before it, and the subject objects."""

    base: int
    stop: int  # base of the next slot; of the last, where the next would begin at the latest
    segments: Sequence[str]
    subjects: Sequence[str]


class Looking:
    """Looks into segments. What cannot be looked into counts as held by every hold that would have
    to: holding too much harms nobody."""

    def __init__(self, store: WormStore, subjects: SubjectStore, index_key: bytes) -> None:
        self._store, self._subjects, self._index_key = store, subjects, index_key

    async def slots(self, place: Place, after: int | None, with_subjects: bool) -> list[Slot]:
        """The slots of a partition behind one base, or all of them."""
        folder = layout.segment_folder(*place)
        behind = "" if after is None else f"{layout.at_base(folder, after)}{_BEHIND}"
        segments = _by_base(await self._store.names(folder, after=behind))
        subjects: dict[int, list[str]] = {}
        if with_subjects and segments:
            folder = layout.subject_folder(*place)
            behind = "" if after is None else f"{layout.at_base(folder, after)}{_BEHIND}"
            subjects = _by_base(await self._subjects.names(folder, after=behind))
        bases = sorted(segments)
        return [
            Slot(base, stop, segments[base], subjects.get(base, ()))
            for base, stop in pairwise([*bases, _NO_END])
        ]

    async def held_by(self, active: ActiveHolds, name: SegmentName, stop: int) -> list[str]:
        """Ids of the holds on one segment with the offsets [`name.base`, `stop`): what a disposal
        asks before it removes anything."""
        place = (name.topic, name.generation, name.partition)
        subjects: Sequence[str] = ()
        if active.needs_tags:
            begin = layout.at_base(layout.subject_folder(*place), name.base)
            subjects = await self._subjects.names(f"{begin}-")
        slot = Slot(name.base, stop, (str(name),), subjects)
        return sorted(await self._look(active, place, slot))

    async def holders(
        self, active: ActiveHolds, place: Place, slots: Sequence[Slot]
    ) -> list[set[str]]:
        """Of each slot the ids of the holds that hold it."""
        turn = asyncio.Semaphore(_AT_ONCE)

        async def look(slot: Slot) -> set[str]:
            async with turn:
                return await self._look(active, place, slot)

        return list(await asyncio.gather(*map(look, slots)))

    async def _look(self, active: ActiveHolds, place: Place, slot: Slot) -> set[str]:
        tags, body, unread = b"", b"", set[str]()
        if active.needs_tags:
            found = await self._tags(slot)
            unread |= active.by_tags if found is None else set()
            tags = found or b""
        if active.needs_body:
            lines = await self._body(slot)
            unread |= active.by_body if lines is None else set()
            body = lines or b""
        found_ids = await asyncio.to_thread(
            active.in_segment, place, slot.base, slot.stop, tags, lambda: body
        )
        return found_ids | unread

    async def _tags(self, slot: Slot) -> bytes | None:
        """Of all its subject objects, orphans too; None where one is gone or does not open."""
        joined = b""
        for name in slot.subjects:
            stored = await self._subjects.get(name)
            if stored is None:  # listed a moment ago
                return None
            try:
                joined += decrypt_tags(self._index_key, name, stored.data)
            except FormatError:
                return None
        return joined if slot.subjects else None

    async def _body(self, slot: Slot) -> bytes | None:
        """Of all that are segments; None where none is, or one is a newer release's."""
        bodies = []
        for name in slot.segments:
            data = await self._store.get(name)
            try:
                bodies.append((await asyncio.to_thread(decode, data or b"", name)).body)
            except UnknownVersion:
                return None
            except FormatError:
                continue  # junk under a segment's name
        return b"".join(bodies) if bodies else None


def _by_base(names: Sequence[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name in names:
        digits = name.rpartition("/")[2][: layout.BASE_DIGITS]
        if digits.isascii() and digits.isdigit():
            found.setdefault(int(digits), []).append(name)
    return found

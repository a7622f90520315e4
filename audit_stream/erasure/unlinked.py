"""Segments without a subject object: whose their records are, nobody can say.

An object that was damaged is removed, as docs/runbooks/subjects.md says. What a hold by message,
workflow or range holds in such a segment may be anybody's: so it stands against everybody.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from audit_stream.erasure.scan import names_of_subjects
from audit_stream.erasure.segments import SEGMENTS, Segments
from audit_stream.evidence import layout
from audit_stream.evidence.layout import SegmentName
from audit_stream.holds.active import ActiveHolds
from audit_stream.ports import Alerts, SubjectStore

_ALARM = "unlinked:subjects"
_TOLD = 3  # segments that an alarm names


class Unlinked:
    """Finds them while a scan lists the subject objects: both listings are in the order of places,
    so only the names of segments are listed beside it, of ranges those in their partitions."""

    def __init__(self, segments: Segments, subjects: SubjectStore, active: ActiveHolds) -> None:
        self._segments, self._subjects, self._active = segments, subjects, active
        self._places: list[SegmentName] = []

    async def names(self) -> AsyncGenerator[str, None]:
        """The names of all subject objects, for a scan: take all of them."""
        async with aclosing(self._segments.places(self._folders())) as stored:
            at = await anext(stored, None)
            # Compared by the names of objects: a topic's name may begin with another one's.
            async for name in names_of_subjects(self._subjects):
                parsed = layout.parse_subject_name(name)
                while parsed is not None and at is not None and str(at) <= str(parsed[0]):
                    if at != parsed[0]:
                        self._places.append(at)
                    at = await anext(stored, None)
                yield name
            while at is not None:
                self._places.append(at)
                at = await anext(stored, None)

    def _folders(self) -> Sequence[str]:
        if self._active.needs_body:
            return (SEGMENTS,)
        return sorted({layout.segment_folder(*place) for place in self._active.range_places})

    async def held(self) -> dict[SegmentName, set[str]]:
        """Of the segments that were found, those with a record that is held; ids of the holds.
        Raises as `Segments.stored_at`: what cannot be read may be held."""
        held = {}
        for place in self._places:
            if not await self._is_linked(place) and (ids := await self._held_in(place)):
                held[place] = ids
        return held

    async def _is_linked(self, place: SegmentName) -> bool:
        """Whether its object came meanwhile: one listing was ahead of the other."""
        folder = layout.subject_folder(place.topic, place.generation, place.partition)
        begin = layout.at_base(folder, place.base)
        return bool(await self._subjects.names(f"{begin}-", limit=1))

    async def _held_in(self, place: SegmentName) -> set[str]:
        found = await self._segments.stored_at(place)
        if found is None or not found.segment.header.count:
            return set()
        header, body = found.segment.header, found.segment.body
        partition = (place.topic, place.generation, place.partition)
        # No tags: who is held by name is held by their own tags, and nobody else's keys open them.
        return self._active.in_segment(partition, header.base, header.next, b"", lambda: body)


def tell_unlinked(alarms: Alerts, held: Mapping[SegmentName, set[str]]) -> None:
    """Why nobody can be erased: no request says it, for it is about none of them."""
    if not held:
        alarms.close_alarm(_ALARM, "nothing is held in a segment without a subject object")
        return
    named = [f"{name} ({', '.join(sorted(ids))})" for name, ids in sorted(held.items())]
    more = f" and {len(named) - _TOLD} more" if len(named) > _TOLD else ""
    alarms.raise_alarm(
        _ALARM,
        "nobody is erased: records are held in segments whose subject object is away, and may be "
        f"anybody's: {', '.join(named[:_TOLD])}{more}",
    )

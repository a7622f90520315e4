"""What certificates say is gone and is not yet: a run was cut off, or a store refused.

Of each certificate, whatever became of its purge. A folder is gone through once for all of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from audit_stream.evidence import layout
from audit_stream.evidence.disposal import Disposal, Place, Stretch
from audit_stream.evidence.layout import SegmentName
from audit_stream.ports import SubjectStore
from audit_stream.retention.names import Ascending, Listed, at_bases
from audit_stream.retention.survey import Archived

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Owed:
    """What a certificate says is gone, and is not yet."""

    disposal: Disposal
    segments: list[SegmentName] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)  # names of subject objects
    years: Sequence[int] = ()


class Standing:
    """What still stands of one partition's stretches, asked for in their order."""

    def __init__(
        self, archived: Archived, subjects: SubjectStore | None, place: Place,
        stores: Sequence[Listed],
    ) -> None:  # fmt: skip
        """`stores`: where its segments may lie, a second store among them."""
        self._segments = [Ascending(each, layout.segment_folder(*place)) for each in stores]
        self._headers = Ascending(archived.store, layout.disposed_folder(*place))
        self._subjects = (
            None if subjects is None else Ascending(subjects, layout.subject_folder(*place))
        )

    async def segments(self, stretch: Stretch) -> AsyncIterator[SegmentName]:
        """Whose headers are kept: junk that was passed over is none."""
        async for text in at_bases(self._segments, stretch.base, stretch.next):
            name = layout.parse_segment_name(text)
            if name is not None and await self._headers.has(layout.disposed_name(name)):
                yield name

    async def subjects(self, stretch: Stretch) -> AsyncIterator[tuple[int, str]]:
        """The subject objects of its segments, each with the segment's base."""
        if self._subjects is None:
            return
        async for text in at_bases([self._subjects], stretch.base, stretch.next):
            place = layout.parse_subject_name(text)
            if place is not None:
                yield place[0].base, text


async def owed_by(
    archived: Archived, subjects: SubjectStore | None, *, briefly: bool = False
) -> list[Owed]:  # fmt: skip
    """Of every certificate, what it says is gone and is not; `briefly`: one thing of each stretch
    will do."""
    found = [
        Owed(disposal=each, years=sorted(set(each.years) & set(archived.years)))
        for each in await archived.disposed.certificates()
    ]
    for place, stretches in _by_place(found).items():
        standing = Standing(archived, subjects, place, [archived.store, archived.inventory])
        for stretch, owed in stretches:
            owed.segments += await _all(standing.segments(stretch), briefly)
            left = await _all(standing.subjects(stretch), briefly)
            owed.subjects += [name for _, name in left]
    return [each for each in found if each.segments or each.subjects or each.years]


def _by_place(found: Iterable[Owed]) -> dict[Place, list[tuple[Stretch, Owed]]]:
    """The stretches of all certificates, in the order of places and their offsets."""
    together = [(stretch, owed) for owed in found for stretch in owed.disposal.stretches]
    places: dict[Place, list[tuple[Stretch, Owed]]] = {}
    for stretch, owed in sorted(together, key=lambda each: (each[0].place, each[0].base)):
        places.setdefault(stretch.place, []).append((stretch, owed))
    return places


async def _all(found: AsyncIterator[T], briefly: bool) -> list[T]:
    every = []
    async for each in found:
        every.append(each)
        if briefly:
            break
    return every

"""What certificates say is gone and is not yet: a run was cut off, or a store refused.

Of each certificate, whatever became of its purge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from audit_stream.evidence import layout
from audit_stream.evidence.disposal import Disposal, Stretch
from audit_stream.evidence.layout import SegmentName
from audit_stream.ports import SubjectStore
from audit_stream.retention.survey import Archived


@dataclass(slots=True, kw_only=True)
class Owed:
    """What a certificate says is gone, and is not yet."""

    disposal: Disposal
    segments: list[SegmentName] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)  # names of subject objects
    years: Sequence[int] = ()


def folder_of(stretch: Stretch) -> str:
    """The folder that its segments lie in."""
    return layout.segment_folder(stretch.topic, stretch.generation, stretch.partition)


async def _standing(archived: Archived, folder: str) -> list[str]:
    """What lies in a folder of any store, a second one among them."""
    kept = await archived.inventory.kept(folder)
    return sorted({*await archived.store.names(folder), *(each.name for each in kept)})


async def standing_in(
    archived: Archived, stretch: Stretch, names: Iterable[str]
) -> list[SegmentName]:
    """Of the names in its folder, the segments of a stretch; junk passed over is none."""
    kept = {str(name) for name in await archived.disposed.names(folder_of(stretch))}
    return [
        name for name in map(layout.parse_segment_name, names)
        if name is not None and stretch.covers(name) and str(name) in kept
    ]  # fmt: skip


async def subjects_in(subjects: SubjectStore, stretch: Stretch) -> list[str]:
    """Names of the subject objects of a stretch's segments that are still there."""
    folder = layout.subject_folder(stretch.topic, stretch.generation, stretch.partition)
    found = [(layout.parse_subject_name(name), name) for name in await subjects.names(folder)]
    return [name for place, name in found if place is not None and stretch.covers(place[0])]


async def owed_by(archived: Archived, subjects: SubjectStore | None) -> list[Owed]:
    """Of every certificate, what it says is gone and is not."""
    found = []
    for disposal in await archived.disposed.certificates():
        owed = Owed(disposal=disposal, years=sorted(set(disposal.years) & set(archived.years)))
        for stretch in disposal.stretches:
            names = await _standing(archived, folder_of(stretch))
            owed.segments += await standing_in(archived, stretch, names)
            owed.subjects += [] if subjects is None else await subjects_in(subjects, stretch)
        if owed.segments or owed.subjects or owed.years:
            found.append(owed)
    return found

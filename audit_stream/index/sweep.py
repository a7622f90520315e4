"""Making the tag rows fit the subject objects as they are now.

A redaction rewrites subject objects with zeroed tags and tells the gateways: `ArchiveIndex.forget`.
One that was away then, or whose tail read an object just before it was rewritten, finds out here:
let it run when a gateway begins, hourly, and for each word on `audit-redactions`. It also finds
objects that were away and are there again. Rows of segments that were disposed of go first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from audit_stream.archive.chain import Found
from audit_stream.archive.disposed import DisposedSegments
from audit_stream.archive.tags import Tags
from audit_stream.evidence.disposal import Disposal
from audit_stream.evidence.layout import SegmentName
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.forgetting import forget_disposed, is_disposed
from audit_stream.index.rows import NO_TAGS, TO_COMPACT, Indexed, Pair, SegmentRow, tag_of
from audit_stream.index.segment_rows import tag_rows
from audit_stream.index.stored import StoredSegment, tampered
from audit_stream.index.tail import Archive

_GROUP = 256  # changed segments whose tags are held at once; each group scans all tag rows


@dataclass(slots=True)
class Swept:
    """What a sweep found and did."""

    segments: int = 0
    untagged: int = 0  # segments without a readable subject object
    removed: int = 0  # tag rows whose tag is gone
    added: int = 0  # tag rows of objects that were away
    disposed: Sequence[Disposal] = ()  # certificates there are


@dataclass(frozen=True, slots=True)
class _Changed:
    row: SegmentRow
    name: SegmentName
    tags: Tags | None

    @property
    def after(self) -> SegmentRow:
        """The row as it has to be."""
        return replace(self.row, tags=NO_TAGS if self.tags is None else self.tags.digest)


async def sweep(archive: Archive, index: ArchiveIndex) -> Swept:
    """Read every subject object; remove the rows it does not bear out, add those that are missing.

    It may run beside the tail and look-ups of the same process. `StoreError` when a store cannot be
    read: what was done is kept.
    """
    disposed = DisposedSegments(archive.store, archive.keys, archive.keyring.archive)
    certificates = await forget_disposed(disposed, index)
    swept, places = Swept(disposed=certificates), index.places()
    rows = (row for row in index.segments() if not is_disposed(row, places, certificates))
    while group := list(islice(rows, _GROUP)):
        changed = [each for row in group if (each := await _look(archive, places, row, swept))]
        if changed:
            await _mend(archive, index, changed, swept)
    if index.get(TO_COMPACT) is not None:  # also of a sweep that was cut off
        await asyncio.to_thread(index.compact_tags)
    return swept


async def _look(
    archive: Archive, places: Mapping[bytes, Indexed], row: SegmentRow, swept: Swept
) -> _Changed | None:
    name = places[row.place].segment_name(row.base, row.attempt)
    tags = await archive.tags(name, row.leaf, row.count)
    swept.segments += 1
    swept.untagged += tags is None
    changed = _Changed(row, name, tags)
    return None if changed.after == row else changed


async def _mend(
    archive: Archive, index: ArchiveIndex, changed: list[_Changed], swept: Swept
) -> None:
    by_place = {(each.row.place, each.row.base): each for each in changed}
    gone = await asyncio.to_thread(lambda: list(_gone(index, by_place)))
    added: list[Pair] = []
    for each in changed:
        if each.row.tags == NO_TAGS:
            added += await _missing(archive, index, each)
    owed = [(TO_COMPACT, b"tags")] if gone else []
    rows = ((each.row.key, each.after.encode()) for each in changed)
    index.write([*owed, *gone, *added, *rows])
    swept.removed += len(gone)
    swept.added += len(added)


def _gone(index: ArchiveIndex, changed: Mapping[tuple[bytes, int], _Changed]) -> Iterator[Pair]:
    """The rows of changed segments whose tag the subject object no longer has there."""
    for key, tagged in index.all_tagged():
        found = changed.get((tagged.place, tagged.base))
        if found is None:
            continue
        if found.tags is None or found.tags[tagged.index] != tag_of(key):
            yield key, None


async def _missing(archive: Archive, index: ArchiveIndex, changed: _Changed) -> list[Pair]:
    assert changed.tags is not None
    data = await archive.store.get(str(changed.name))
    if data is None:
        raise tampered(changed.name, "the object is gone")
    _, segment = await asyncio.to_thread(
        StoredSegment.check,
        data,
        changed.name,
        changed.row,
        archive.keys,
        index.groups(changed.row),
    )
    found = Found(changed.name, segment, ())
    return tag_rows(found, changed.row, changed.tags, index.ids)

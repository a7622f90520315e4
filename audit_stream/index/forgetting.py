"""Forgetting the rows of segments that were disposed of: where a record lies that is not there.

What was counted stays: it is what the ledgers say, which are kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain, islice

from audit_stream.archive.disposed import DisposedSegments
from audit_stream.evidence.disposal import Disposal, covered_by
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.ids import ID_BYTES
from audit_stream.index.rows import (
    CARRIER,
    FORGOTTEN,
    MESSAGE,
    NUMBER,
    Indexed,
    Position,
    SegmentRow,
    number_of,
)

_STEP = 50_000  # rows a write
Places = Mapping[bytes, Indexed]
Gone = Collection[tuple[bytes, int]]  # place and base of segments


async def forget_disposed(disposed: DisposedSegments, index: ArchiveIndex) -> list[Disposal]:
    """Remove the rows of what was disposed of since the last call; all certificates there are.

    `StoreError`; `ForkAlarm` and `FormatError` of the register.
    """
    certificates = list(await disposed.certificates())
    done = number_of(index.get(FORGOTTEN)) or 0
    if len(certificates) > done:
        await asyncio.to_thread(_forget, index, certificates[done:])
        index.write([(FORGOTTEN, NUMBER.pack(len(certificates)))])
    return certificates


def is_disposed(row: SegmentRow, places: Places, certificates: Iterable[Disposal]) -> bool:
    """Whether a certificate covers an indexed segment."""
    return covered_by(certificates, places[row.place].segment_name(row.base, row.attempt))


def _forget(index: ArchiveIndex, certificates: list[Disposal]) -> None:
    places = index.places()
    gone = {
        (row.place, row.base) for row in index.segments() if is_disposed(row, places, certificates)
    }
    if gone:
        # A person's rows first: who finds one looks for its message, and that is there.
        _write(index, chain(_tags(index, gone), _records(index, gone)))
        _write(index, _carriers(index))
        index.compact_tags()


def _records(index: ArchiveIndex, gone: Gone) -> Iterator[bytes]:
    for key, value in index.rows_of(MESSAGE):
        position = Position.decode(key, value)
        if (position.place, position.base) in gone:
            yield key


def _tags(index: ArchiveIndex, gone: Gone) -> Iterator[bytes]:
    return (key for key, at in index.all_tagged() if (at.place, at.base) in gone)


def _carriers(index: ArchiveIndex) -> Iterator[bytes]:
    """Of messages of which no record is left."""
    for key, _ in index.rows_of(CARRIER):
        if not index.has_message(key[len(CARRIER) + ID_BYTES :]):
            yield key


def _write(index: ArchiveIndex, keys: Iterator[bytes]) -> None:
    while step := list(islice(keys, _STEP)):
        index.write((key, None) for key in step)

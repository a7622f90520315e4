"""What the archive log covers, held against what is indexed.

A chain alone cannot show that its end is gone, nor that who holds the segment key signed it anew.
The log had it as it was: the last segment it covers must be indexed, and a leaf; by their `prev`
that holds for all before it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from audit_stream.evidence.digest import Covered
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.lookup import Message
from audit_stream.index.rows import Indexed
from audit_stream.index.stored import tampered

Place = tuple[str, int, int]  # topic, generation, partition
_WHY = "the archive log has other segments of this chain, or more of them"


class Coverage:
    """One digest's coverage: the first offset of each place that no leaf covers."""

    def __init__(self, covered: Iterable[Covered] = ()) -> None:
        self._next = {
            (each.topic, each.generation, each.partition): each.archived_next for each in covered
        }  # fmt: skip
        self._broken: set[Place] = set()

    def compare(self, places: Collection[Indexed], index: ArchiveIndex) -> list[str]:
        """The places, as ``topic/generation/partition``, that are not indexed as they were logged;
        `check` remembers them."""
        there = {(each.topic, each.generation, each.partition): each for each in places}
        self._broken = {
            place for place, covered in self._next.items()
            if place not in there or not _is_logged(there[place], covered, index)
        }  # fmt: skip
        return [f"{topic}/{generation}/{part}" for topic, generation, part in sorted(self._broken)]

    def check(self, message: Message) -> None:
        """`Tampered` when a record of the message stands in such a place: more of it may have."""
        for each in message.revisions:
            header = each.header
            if (header.topic, header.generation, header.partition) in self._broken:
                raise tampered(each.segment.rpartition("/")[0], _WHY)


def _is_logged(indexed: Indexed, covered: int, index: ArchiveIndex) -> bool:
    row = index.segment_at(indexed.place, covered - 1) if covered else None
    if row is None:  # nothing was sealed yet when that was logged
        return covered <= indexed.link.next
    return row.next == covered and index.logged_at(row.leaf) is not None

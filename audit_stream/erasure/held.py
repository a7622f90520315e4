"""Which holds stand against persons: by tags at once, by what records say in one pass over them.

A held record whose subject object is away may be anybody's, so its hold stands against everybody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing

from audit_stream.erasure.counting import Counting
from audit_stream.erasure.found import Seen
from audit_stream.erasure.unlinked import Unlinked, tell_unlinked
from audit_stream.evidence.layout import SegmentName
from audit_stream.holds.active import ActiveHolds


async def standing_against(
    active: ActiveHolds, counting: Counting, wanted: Mapping[str, Collection[bytes]]
) -> dict[str, Sequence[str]]:
    """Ids of the holds against each of `wanted`, tags by whatever name; those without are left out.

    Reads records only if a hold is by message, workflow or range; raises as `Counting.facts` and
    `Unlinked.held`. What stands against everybody is an alarm: it says which segments those are.
    """
    by_tag: dict[bytes, set[str]] = {}
    unlinked: Mapping[SegmentName, set[str]] = {}
    if active.needs_facts:
        asked = {tag for tags in wanted.values() for tag in tags}
        by_tag, unlinked = await _by_records(active, counting, asked)
    tell_unlinked(counting.alarms, unlinked)
    everybody = set[str]().union(*unlinked.values())
    found = {
        name: everybody.union(active.blocks_tags(tags), *(by_tag.get(tag, ()) for tag in tags))
        for name, tags in wanted.items()
    }
    return {name: sorted(ids) for name, ids in found.items() if ids}


async def _by_records(
    active: ActiveHolds, counting: Counting, asked: set[bytes]
) -> tuple[dict[bytes, set[str]], Mapping[SegmentName, set[str]]]:
    """Ids of the holds by tag, and by segment where nobody can say whose the records are."""
    by_tag: dict[bytes, set[str]] = {}

    def told(tag: bytes, seen: Seen, _: SegmentName) -> None:
        if ids := active.of(seen):
            by_tag.setdefault(tag, set()).update(ids)

    unlinked = Unlinked(counting.segments, counting.subjects, active)
    async with aclosing(unlinked.names()) as names:
        await counting.facts(asked, told, names=names)
    return by_tag, await unlinked.held()

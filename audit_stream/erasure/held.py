"""Which holds stand against persons: by tags at once, by what records say in one pass over them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from audit_stream.erasure.counting import Counting
from audit_stream.erasure.found import Seen
from audit_stream.evidence.layout import SegmentName
from audit_stream.holds.active import ActiveHolds


async def standing_against(
    active: ActiveHolds, counting: Counting, wanted: Mapping[str, Collection[bytes]]
) -> dict[str, Sequence[str]]:
    """Ids of the holds against each of `wanted`, tags by whatever name; those without are left out.

    Reads records only if a hold is by message, workflow or range; raises as `Counting.facts`.
    """
    by_tag: dict[bytes, set[str]] = {}
    if active.needs_facts:

        def told(tag: bytes, seen: Seen, _: SegmentName) -> None:
            if ids := active.of(seen):
                by_tag.setdefault(tag, set()).update(ids)

        await counting.facts({tag for tags in wanted.values() for tag in tags}, told)
    found = {
        name: sorted(set(active.blocks_tags(tags)).union(*(by_tag.get(tag, ()) for tag in tags)))
        for name, tags in wanted.items()
    }
    return {name: ids for name, ids in found.items() if ids}

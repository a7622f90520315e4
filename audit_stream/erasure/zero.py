"""Taking tags out of subject objects, and removing the orphans among those.

Both are compare-and-swap, so they may run beside workers and each other, and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from audit_stream.erasure.scan import Hit, names_of_subjects
from audit_stream.erasure.segments import Segments
from audit_stream.erasure.wanted import Wanted
from audit_stream.errors import StoreTransient
from audit_stream.evidence.layout import SegmentName, leaf_prefix, parse_subject_name
from audit_stream.ports import SubjectStore
from audit_stream.privacy.keytree import TAG_BYTES
from audit_stream.privacy.named_object import NONCE_BYTES
from audit_stream.privacy.subject_object import NO_TAG, decrypt_tags, seal_tags

#: So many random bytes.
Nonce = Callable[[int], bytes]
_TRIES: Final = 16  # each one lost is a rewrite that somebody else won; an object has few writers


async def zero(
    subjects: SubjectStore, index_key: bytes, hit: Hit, tags: Collection[bytes], nonce: Nonce
) -> bool:
    """Put `NO_TAG` in the place of these tags, until none is in the object; False if none was.

    Repeating it is harmless. `FormatError` when the object was replaced by one that does not open,
    `StoreError` when it is rewritten again and again by somebody else.
    """
    wanted = Wanted(tags)
    read = hit.joined, hit.etag
    return await rewrite(
        subjects, index_key, hit.name, lambda joined: zeroed_tags(joined, wanted), nonce, read
    )


async def rewrite(
    subjects: SubjectStore, index_key: bytes, name: str, change: Callable[[bytes], bytes | None],
    nonce: Nonce, read: tuple[bytes, str] | None = None,
) -> bool:  # fmt: skip
    """Put what `change` makes of the tags in their place; False if it makes None of them, or the
    object is gone. `read`: tags and entity tag, if it was read already. Raises as `zero`."""
    for _ in range(_TRIES):
        if read is None:
            stored = await subjects.get(name)
            if stored is None:
                return False  # an orphan that was removed
            read = decrypt_tags(index_key, name, stored.data), stored.etag
        joined, etag = read
        changed = await asyncio.to_thread(change, joined)
        if changed is None:
            return False  # or somebody else was quicker
        data = seal_tags(index_key, name, changed, nonce(NONCE_BYTES))
        if await subjects.replace(name, data, etag):
            return True
        read = None
    raise StoreTransient(
        f"{name} was rewritten by somebody else {_TRIES} times in a row",
        hint="do two redactions run at once? Run it again",
    )


def zeroed_tags(joined: bytes, wanted: Wanted) -> bytes | None:
    """The tags one behind the other without the wanted ones; None when none of them is there."""
    found = wanted.find(joined)
    if not found:
        return None
    zeroed = bytearray(joined)
    for indexes in found.values():
        for index in indexes:
            zeroed[index * TAG_BYTES : (index + 1) * TAG_BYTES] = NO_TAG
    return bytes(zeroed)


@dataclass(slots=True)
class Orphans:
    """What a sweep found: names of orphans that were removed, of objects it could not tell of."""

    removed: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)  # no segment stands there to tell which is it


async def sweep_orphans(segments: Segments, subjects: SubjectStore) -> Orphans:
    """Remove the subject objects of segments that lost their place to another one.

    Where one object stands alone it is the stored segment's, which had its own before it was put:
    so only places with several are looked into. One is removed once the stored segment there was
    read and has another leaf (formats.md, Subject object); its writer cannot win any more.
    """
    orphans = Orphans()
    async for place, names in _rivals(subjects):
        found = await segments.at(place)
        if found is None:
            orphans.waiting += names.values()
            continue
        for leaf, name in names.items():
            if leaf != leaf_prefix(found.segment.leaf) and await _remove(subjects, name):
                orphans.removed.append(name)
    return orphans


async def _rivals(subjects: SubjectStore) -> AsyncIterator[tuple[SegmentName, dict[str, str]]]:
    """Places with more than one object, and its name by leaf prefix; names ascend by place."""
    at: SegmentName | None = None
    names: dict[str, str] = {}
    async for name in names_of_subjects(subjects):
        parsed = parse_subject_name(name)
        if parsed is None:
            continue  # a scan tells of it
        place, leaf = parsed
        if at is not None and place != at:
            if len(names) > 1:
                yield at, names
            names = {}
        at, names[leaf] = place, name
    if at is not None and len(names) > 1:
        yield at, names


async def _remove(subjects: SubjectStore, name: str) -> bool:
    """Whether it was there: also one that is just being rewritten goes."""
    for _ in range(_TRIES):
        stored = await subjects.get(name)
        if stored is None:
            return False
        if await subjects.remove(name, stored.etag):
            return True
    raise StoreTransient(f"{name} was rewritten by somebody else {_TRIES} times in a row")

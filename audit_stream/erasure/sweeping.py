"""A sweep over all subject objects: no tag stays that the newest keyring cannot derive.

What an erasure zeroed may come back, with a copy of the store or a machine that was away.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from audit_stream.archive.ahead import in_flight
from audit_stream.erasure.counting import Counting
from audit_stream.erasure.scan import names_of_subjects
from audit_stream.erasure.zero import sweep_orphans
from audit_stream.privacy.keytree import TAG_BYTES, Cover, path_of
from audit_stream.privacy.subject_object import NO_TAG, NONCE_BYTES, decrypt_tags, seal_tags

_IN_FLIGHT, _TRIES = 8, 16


@dataclass(slots=True)
class Swept:
    """What a sweep did."""

    objects: int = 0
    zeroed: int = 0
    removed: int = 0


async def sweep(counting: Counting, covers: Sequence[Cover]) -> Swept:
    """`StoreError`; `FormatError` for an object that cannot be looked into.

    `covers`: of all trees. Whoever is erased is so in each of them, so what no cover derives goes.
    """
    swept = Swept()

    async def one(name: str) -> bool:
        for _ in range(_TRIES):
            stored = await counting.subjects.get(name)
            if stored is None:
                return False
            joined = decrypt_tags(counting.index_key, name, stored.data)
            zeroed = await asyncio.to_thread(without_erased, joined, covers)
            if zeroed == joined:
                return False
            data = seal_tags(counting.index_key, name, zeroed, secrets.token_bytes(NONCE_BYTES))
            if await counting.subjects.replace(name, data, stored.etag):
                return True
        return False

    async for changed in in_flight(names_of_subjects(counting.subjects), one, _IN_FLIGHT):
        swept.objects += 1
        swept.zeroed += changed
    swept.removed = len((await sweep_orphans(counting.segments, counting.subjects)).removed)
    return swept


def without_erased(joined: bytes, covers: Sequence[Cover]) -> bytes:
    """Tags one behind the other, those that no cover derives zeroed."""
    kept = bytearray(joined)
    known: dict[bytes, bool] = {NO_TAG: True}
    for at in range(0, len(joined), TAG_BYTES):
        tag = joined[at : at + TAG_BYTES]
        if tag not in known:
            known[tag] = any(cover.find(path_of(tag)) is not None for cover in covers)
        if not known[tag]:
            kept[at : at + TAG_BYTES] = NO_TAG
    return bytes(kept)

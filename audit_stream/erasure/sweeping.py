"""A sweep over all subject objects: no tag stays that the newest keyring cannot derive.

What an erasure zeroed may come back, with a copy of the store or a machine that was away.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from audit_stream.archive.ahead import in_flight
from audit_stream.erasure.counting import Counting
from audit_stream.erasure.scan import names_of_subjects
from audit_stream.erasure.zero import rewrite, sweep_orphans
from audit_stream.privacy.keytree import TAG_BYTES, Cover, path_of
from audit_stream.privacy.subject_object import NO_TAG

_IN_FLIGHT = 8


@dataclass(slots=True)
class Swept:
    """What a sweep did."""

    objects: int = 0
    zeroed: int = 0
    removed: int = 0


async def sweep(counting: Counting, covers: Sequence[Cover]) -> Swept:
    """Raises as `zero.rewrite`: `StoreError`; `FormatError` of what cannot be looked into.

    `covers`: of all trees. Whoever is erased is so in each of them, so what no cover derives goes.
    """
    swept = Swept()

    async def one(name: str) -> bool:
        return await rewrite(
            counting.subjects, counting.index_key, name,
            lambda joined: without_erased(joined, covers), secrets.token_bytes,
        )  # fmt: skip

    async for changed in in_flight(names_of_subjects(counting.subjects), one, _IN_FLIGHT):
        swept.objects += 1
        swept.zeroed += changed
    swept.removed = len((await sweep_orphans(counting.segments, counting.subjects)).removed)
    return swept


def without_erased(joined: bytes, covers: Sequence[Cover]) -> bytes | None:
    """Tags one behind the other, those that no cover derives zeroed; None when there is none."""
    kept = bytearray(joined)
    known: dict[bytes, bool] = {NO_TAG: True}
    for at in range(0, len(joined), TAG_BYTES):
        tag = joined[at : at + TAG_BYTES]
        if tag not in known:
            known[tag] = any(cover.find(path_of(tag)) is not None for cover in covers)
        if not known[tag]:
            kept[at : at + TAG_BYTES] = NO_TAG
    return None if kept == joined else bytes(kept)

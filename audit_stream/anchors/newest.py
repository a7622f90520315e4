"""The newest checkpoint that anyone outside vouches for, as it is stored.

Answers, dashboards and bundles ask for it: None is "without any outside anchor", which they say.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime

from audit_stream.archive.newest import newest_number
from audit_stream.evidence.log_names import SIZE_DIGITS, anchor_name, parse_anchor_name
from audit_stream.evidence.vouching import Trust, Vouched, judge_anchors
from audit_stream.notary.log import ArchiveLog
from audit_stream.ports import WormStore

_FOLDER = "anchor/"
_MOST_SIZES = 64  # that are looked at


async def newest_vouched(
    store: WormStore, log: ArchiveLog, trust: Trust, now: datetime
) -> Vouched | None:  # fmt: skip
    """By `trust`, among the newest that have anchors at all, by what counts now. `StoreError`,
    `FormatError`."""
    async with aclosing(anchored_sizes(store)) as sizes:
        async for size in sizes:
            vouched = await vouched_at(store, log, trust, size, now)
            if vouched is not None and vouched.is_anchored:
                return vouched
    return None


async def anchored_sizes(
    store: WormStore, below: int | None = None
) -> AsyncGenerator[int, None]:  # fmt: skip
    """The newest sizes under `below` that have anything for an anchor, the greatest first: not all
    of them, since whoever may put can put some. Who does not take all closes it (`aclosing`)."""
    for _ in range(_MOST_SIZES):
        below = await newest_number(store, _FOLDER, SIZE_DIGITS, below=below)
        if below is None:
            return
        yield below


async def vouched_at(
    store: WormStore, log: ArchiveLog, trust: Trust, size: int, now: datetime
) -> Vouched | None:  # fmt: skip
    """What vouches for the checkpoint of a size; None when the log has no checkpoint of it."""
    head = await log.head_at(size)
    if head is None:
        return None
    what = f"the checkpoint of {size} leaves"
    return judge_anchors(head.note, await anchors_at(store, size), trust, what, now)


async def anchors_at(store: WormStore, size: int) -> dict[str, bytes]:
    """The objects that may vouch for the checkpoint of a size, by name. `StoreError`."""
    found: dict[str, bytes] = {}
    for name in await store.names(anchor_name(size, "")):
        data = await store.get(name)
        if parse_anchor_name(name) is not None and data is not None:
            found[name] = data
    return found

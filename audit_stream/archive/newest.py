"""The highest number among names that end in digits, without listing them all."""

from __future__ import annotations

import asyncio
from itertools import compress

from audit_stream.ports import WormStore


async def newest_number(
    store: WormStore, folder: str, digits: int, *, below: int | None = None
) -> int | None:
    """The highest `digits`-digit number that continues a name behind `folder`, of those under
    `below`; None where there is none.

    By descending digits, up to ten cheap listings at once: 200 at worst. Listings that begin behind
    a name would be fewer, but not every store has them.
    """
    if below is not None and below <= 0:
        return None
    limit = "9" * digits if below is None else f"{below - 1:0{digits}d}"
    return await _descend(store, folder, "", limit)


async def _descend(store: WormStore, folder: str, prefix: str, limit: str) -> int | None:
    """The highest number that begins with `prefix` and is not above `limit`."""
    if len(prefix) == len(limit):
        return int(prefix)
    highest = int(limit[len(prefix)]) if limit.startswith(prefix) else 9
    longer = [f"{prefix}{digit}" for digit in range(highest, -1, -1)]
    # All at once: one after the other, a far store's answers would add up to seconds.
    listed = await asyncio.gather(*(store.names(folder + each, limit=1) for each in longer))
    for each in compress(longer, listed):
        found = await _descend(store, folder, each, limit)
        if found is not None:  # None: all of them lie above the limit
            return found
    return None

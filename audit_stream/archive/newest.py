"""The highest number among names that end in digits, without listing them all."""

from __future__ import annotations

from audit_stream.ports import WormStore


async def newest_number(
    store: WormStore, folder: str, digits: int, *, below: int | None = None
) -> int | None:
    """The highest `digits`-digit number that continues a name behind `folder`, of those under
    `below`; None where there is none. By descending digits: 200 cheap listings at worst."""
    if below is not None and below <= 0:
        return None
    limit = "9" * digits if below is None else f"{below - 1:0{digits}d}"
    return await _descend(store, folder, "", limit)


async def _descend(store: WormStore, folder: str, prefix: str, limit: str) -> int | None:
    """The highest number that begins with `prefix` and is not above `limit`."""
    if len(prefix) == len(limit):
        return int(prefix)
    at_limit = limit.startswith(prefix)
    highest = int(limit[len(prefix)]) if at_limit else 9
    for digit in range(highest, -1, -1):
        longer = f"{prefix}{digit}"
        if not await store.names(f"{folder}{longer}", limit=1):
            continue
        found = await _descend(store, folder, longer, limit)
        if found is not None:  # None: all of them lie above the limit
            return found
    return None

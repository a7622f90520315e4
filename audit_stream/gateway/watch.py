"""How far the broker's log went some minutes ago, as the newest digests of the archive log said.

A quiet topic's next event is not late because the last one is old. What was there at a digest and
is still not archived has waited since then at least. Pure.
"""

from __future__ import annotations

from collections import deque

from audit_stream.evidence.digest import Digest
from audit_stream.index.counts import milliseconds

#: Digests are kept that far back, and the one before them.
WATCHED_MS = 120_000
Place = tuple[str, int, int]  # topic, generation, partition


class Watch:
    """The last minutes' digests. One that has just begun knows none of before."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, Digest]] = deque()

    def saw(self, digest: Digest) -> None:
        """The next one. `FormatError` when its time is none."""
        at = milliseconds(digest.time)
        self._seen.append((at, digest))
        while len(self._seen) > 1 and self._seen[1][0] <= at - WATCHED_MS:
            self._seen.popleft()

    def ends(self, until_ms: int) -> dict[Place, int] | None:
        """The broker's ends by the newest digest that is as old as that, where it knew them; None:
        there is none."""
        old = [digest for at, digest in list(self._seen) if at <= until_ms]
        if not old:
            return None
        return {
            (each.topic, each.generation, each.partition): each.end
            for each in old[-1].coverage if each.end is not None
        }  # fmt: skip

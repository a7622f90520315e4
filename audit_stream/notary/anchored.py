"""Anchors that stand beside the log and are to be leaves of it (`audit-anchor/1`).

From then on every later checkpoint, and so every later timestamp over one, commits to them.
"""

from __future__ import annotations

from collections import deque

from audit_stream.evidence.anchor_line import anchor_line
from audit_stream.evidence.batch import Batch, Leaf
from audit_stream.evidence.log_names import anchor_name, parse_anchor_name
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.ports import WormStore

_BATCHES = 8  # an anchor that takes longer than so many stays out: the next one covers it


class Anchors:
    """Those of the newest checkpoints that are not leaves yet."""

    def __init__(self, store: WormStore) -> None:
        self._store = store
        self._batches: deque[Batch] = deque(maxlen=_BATCHES)

    async def resume(self, log: ArchiveLog, head: Head) -> None:
        """Read the newest batches: an anchor is a leaf once."""
        async for batch in log.batches(max(0, head.size - _BATCHES)):
            self.take(batch)

    def take(self, batch: Batch) -> None:
        """A batch that has won, of whichever notary."""
        self._batches.append(batch)

    async def gather(self, limit: int) -> list[Leaf]:
        """At most so many leaves; nothing is taken over yet. `StoreError`."""
        logged = {leaf.line for batch in self._batches for leaf in batch.leaves}
        leaves: list[Leaf] = []
        for batch in self._batches:
            for name in await self._store.names(anchor_name(batch.new_size, "")):
                data = await self._store.get(name)
                if parse_anchor_name(name) is None or data is None:
                    continue
                line = anchor_line(name, data).line()
                if line not in logged and len(leaves) < limit:
                    leaves.append(Leaf(line))
        return leaves

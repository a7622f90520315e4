"""What storing and resync ask of the place where states are kept, and of its log.

A worker's are the precedence table and its changelog; a backfill's its own database, without a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from audit_stream.stream.changelog import Pair
from audit_stream.stream.form import Applied, StateForm


class StateTable(Protocol):
    """States by table key, and how far a topic's segments are in them."""

    @property
    def form(self) -> StateForm:
        """The form of its entries."""
        ...

    def applied(self, partition: int, topic: str) -> Applied | None:
        """The topic's applied marker, or None when nothing was applied."""
        ...

    def keys_of(self, partition: int, stream: bytes) -> Iterator[bytes]:
        """Keys of a stream's states."""
        ...

    def commit_batch(
        self, partition: int, puts: Iterable[Pair], changelog_offset: int | None
    ) -> None:
        """Apply the pairs (None deletes), all or none of them."""
        ...


class StateLog(Protocol):
    """Where changes of states are written before they are applied."""

    async def write(self, partition: int, pairs: Sequence[Pair]) -> int | None:
        """Write the pairs, all or none; the log's offset of the last one, if there is one."""
        ...

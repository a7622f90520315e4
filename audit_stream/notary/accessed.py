"""Sealed parts of access journals, as the log covers them: one line a batch (`audit-access/1`).

The line is cumulative, as the digest's coverage is: whoever resumes reads the newest, or, from a
log without one, follows the journals from their beginning. So a part is never logged twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from audit_stream.errors import FormatError
from audit_stream.evidence.access import (
    AccessLine,
    JournalHead,
    decode_access_line,
    decode_part,
    is_access_line,
)
from audit_stream.evidence.batch import Batch, Leaf
from audit_stream.evidence.log_names import access_folder, access_name, parse_access_name
from audit_stream.ports import Alerts, WormStore


class Accessed:
    """Follows every journal in the store, behind what the log has."""

    def __init__(self, store: WormStore, archive: str, alarms: Alerts) -> None:
        self._store, self._archive, self._alarms = store, archive, alarms
        self._heads: Mapping[str, JournalHead] = {}

    def take(self, batch: Batch) -> None:
        """A batch that has won, of whichever notary."""
        for leaf in batch.leaves:
            if leaf.name is None and is_access_line(leaf.line):
                what = f"the access line of the batch at {batch.old_size}"
                self._heads = decode_access_line(leaf.line, what).heads

    async def gather(self) -> list[Leaf]:
        """The line of the next batch; none as long as there is no journal. `StoreError`."""
        heads = dict(self._heads)
        for journal in sorted({*heads, *await self._journals()}):
            if (head := await self._follow(journal, heads.get(journal))) is not None:
                heads[journal] = head
        return [Leaf(AccessLine(heads).line())] if heads else []

    async def _journals(self) -> list[str]:
        """Ids of those that have a first part."""
        names = await self._store.names(access_folder(0))
        return [place[0] for name in names if (place := parse_access_name(name)) is not None]

    async def _follow(self, journal: str, head: JournalHead | None) -> JournalHead | None:
        number = 0 if head is None else head.next
        while True:
            name = access_name(journal, number)
            data = await self._store.get(name)
            if data is None:
                return head
            try:
                part = decode_part(data, name)
                leaf = None if head is None else head.leaf
                if (part.archive, part.name, part.prev) != (self._archive, name, leaf):
                    raise FormatError(f"{name} does not follow the part before it")
            except FormatError as error:
                self._alarms.raise_alarm(
                    f"fork:access/{journal}", f"left out of the archive log: {error}"
                )
                return head
            number, head = number + 1, JournalHead(number + 1, part.leaf)

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

MOST_PARTS = 1024  # of a batch: one minute's at most, after months without a notary too


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
        """The line of the next batch; none as long as there is no journal. `StoreError`.

        It goes at most `MOST_PARTS` on, the journals that are least far first: the next goes on.
        """
        heads, room = dict(self._heads), MOST_PARTS
        journals = {*heads, *await self._journals()}
        for journal in sorted(journals, key=lambda each: (self._next(each), each)):
            head = await self._follow(journal, heads.get(journal), room)
            if head is not None:
                room -= head.next - self._next(journal)
                heads[journal] = head
        return [Leaf(AccessLine(heads).line())] if heads else []

    def _next(self, journal: str) -> int:
        """Number of its next part to log."""
        head = self._heads.get(journal)
        return 0 if head is None else head.next

    async def _journals(self) -> list[str]:
        """Ids of those that have a first part."""
        names = await self._store.names(access_folder(0))
        return [place[0] for name in names if (place := parse_access_name(name)) is not None]

    async def _follow(
        self, journal: str, head: JournalHead | None, room: int
    ) -> JournalHead | None:  # fmt: skip
        number = self._next(journal)
        for _ in range(room):
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
        return head

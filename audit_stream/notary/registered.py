"""Registers in the log: redaction certificates, holds and disposals, each entry a leaf.

The digest says how far each register is logged, so whoever resumes reads on behind that. An entry
that does not follow the one before is left out, loudly, and so is what stands behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from audit_stream.archive.register import RegisterReader
from audit_stream.evidence.batch import Batch, Leaf
from audit_stream.evidence.register import Entry, Register, RegisterHead, parse_entry_name
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.ports import Alerts, WormStore

MOST_ENTRIES = 128  # of a batch's leaves: a thousand certificates hold up no segments, nor these


@dataclass(slots=True)
class _Followed:
    """One register: how far the log has it, and what was read behind that."""

    reader: RegisterReader
    head: RegisterHead | None = None
    waiting: deque[Entry] = field(default_factory=deque)
    stopped: bool = False

    def logged(self, head: RegisterHead) -> None:
        """The log has it up to there."""
        self.head = head
        while self.waiting and self.waiting[0].number < head.next:
            self.waiting.popleft()


class Registered:
    """Follows the registers in the store, behind what the log has."""

    def __init__(
        self, store: WormStore, archive: str, keys: TrustedKeys, alarms: Alerts
    ) -> None:  # fmt: skip
        self._store, self._archive, self._keys, self._alarms = store, archive, keys, alarms
        self._followed = {each: self._follow(each, None) for each in Register}

    def _follow(self, register: Register, head: RegisterHead | None) -> _Followed:
        reader = RegisterReader(self._store, self._keys, self._archive, register, head)
        return _Followed(reader, head)

    @property
    def stopped(self) -> int:
        """Registers of which something is left out."""
        return sum(followed.stopped for followed in self._followed.values())

    def resume(self, heads: Mapping[Register, RegisterHead]) -> None:
        """Begin where a log's last digest says it is."""
        self._followed = {each: self._follow(each, heads.get(each)) for each in Register}

    def take(self, batch: Batch) -> None:
        """A batch that has won, of whichever notary."""
        for register, head in _heads(batch.leaves).items():
            self._followed[register].logged(head)

    async def gather(self, limit: int = MOST_ENTRIES) -> list[Leaf]:
        """At most so many leaves; nothing is taken over yet. `StoreError`."""
        leaves: list[Leaf] = []
        for register, followed in self._followed.items():
            await self._read_on(register, followed, limit - len(leaves))
            entries = list(followed.waiting)[: limit - len(leaves)]
            leaves += [Leaf(each.line(), each.name) for each in entries]
        return leaves

    async def _read_on(self, register: Register, followed: _Followed, limit: int) -> None:
        if len(followed.waiting) >= limit:
            return
        entries, wrong = await followed.reader.read_on(limit - len(followed.waiting))
        start = 0 if followed.head is None else followed.head.next
        followed.waiting += [each for each in entries if each.number >= start]
        followed.stopped = wrong is not None
        if wrong is not None:
            self._alarms.raise_alarm(
                f"fork:{register.folder[:-1]}", f"left out of the archive log: {wrong}"
            )

    def heads(self, leaves: Iterable[Leaf]) -> dict[Register, RegisterHead]:
        """How far each register is logged once `leaves` are in the log."""
        known = {each: found.head for each, found in self._followed.items() if found.head}
        return known | _heads(leaves)


def _heads(leaves: Iterable[Leaf]) -> dict[Register, RegisterHead]:
    places = ((leaf, parse_entry_name(leaf.name)) for leaf in leaves if leaf.name is not None)
    return {place[0]: RegisterHead(place[1] + 1, leaf.hash) for leaf, place in places if place}

"""Writing the archive log: a batch a minute, idle or not; put-if-absent decides between notaries.

A checkpoint goes to anyone only after its batch has won and was read back. Nothing is kept but in
the store: a notary that starts reads the log's head and goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from audit_stream.errors import StoreError
from audit_stream.evidence.batch import MOST_LEAVES, Batch, Leaf
from audit_stream.evidence.checkpoint import Checkpoint
from audit_stream.evidence.digest import Digest
from audit_stream.evidence.log_names import TILE_WIDTH, batch_name, tile_name
from audit_stream.evidence.log_tree import Frontier
from audit_stream.evidence.note import NoteSigner
from audit_stream.notary.accessed import Accessed
from audit_stream.notary.anchored import Anchors
from audit_stream.notary.gather import Ends, Gatherer, Place
from audit_stream.notary.keys import MOST_LINES
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.notary.registered import Registered
from audit_stream.ports import PutResult, WormStore

#: Asks the broker for every partition's (log start, end); None when it is away.
AskEnds = Callable[[], Awaitable[Ends | None]]
#: Lines that are signed for their place: given the log as it is and the index of the first.
AskLines = Callable[[Head | None, int], Awaitable[list[Leaf]]]
_MOST_ANCHORS = 64  # of a batch's leaves


@dataclass(frozen=True, slots=True)
class Written:
    """What one call of `Notary.write` gave."""

    head: Head
    leaves: int  # of ours, digests included; 0 when other notaries were first
    batches: int


class Notary:
    """Writes one archive's log. `now` gives RFC 3339 with milliseconds and Z."""

    def __init__(
        self, store: WormStore, signer: NoteSigner, gatherer: Gatherer, ends: AskEnds,
        now: Callable[[], str], batch_seconds: float = 60.0,
        monotonic: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        self._store, self._signer, self._batch_seconds = store, signer, batch_seconds
        self._gatherer, self._ends, self._now = gatherer, ends, now
        self.log = ArchiveLog(store, signer.key)
        self._anchors = Anchors(store)
        self._accessed = Accessed(store, signer.key.name, gatherer.alarms)
        self._registered = Registered(store, signer.key.name, gatherer.keys, gatherer.alarms)
        self.head: Head | None = None
        self._monotonic, self._taken = monotonic, monotonic()  # when the head was

    @property
    def left_out(self) -> int:
        """Partitions and registers of which something does not fit."""
        return self._gatherer.stopped + self._registered.stopped

    async def resume(self) -> Head | None:
        """Read where the log is. Raises `FormatError`, `ForkAlarm`, `StoreError`."""
        head = await self.log.head()
        if head is not None:
            await self._gatherer.resume(head.digest.coverage)
            self._registered.resume(head.digest.registers)
            await self._anchors.resume(self.log, head)
            await self._resume_accessed(head)
            await self._mend_tiles(head.size)
        self.head, self._taken = head, self._monotonic()
        return head

    async def _resume_accessed(self, head: Head) -> None:
        batch = await self.log.batch(head.old_size)
        if batch is not None:
            self._accessed.take(batch)

    async def catch_up(self) -> Head | None:
        """Take over what other notaries wrote."""
        head = self.head
        while (batch := await self.log.batch(_size(head))) is not None:
            head = await self._take(head, batch)
        return head

    async def _take(self, head: Head | None, batch: Batch) -> Head:
        taken = self.log.head_behind(head, batch)
        await self._gatherer.take(batch)
        self._anchors.take(batch)
        self._accessed.take(batch)
        self._registered.take(batch)
        self.head, self._taken = taken, self._monotonic()
        return taken

    def seconds_until_due(self) -> float:
        """Until the newest batch is old enough; the first of the notaries writes the next."""
        if self.head is None:
            return 0.0
        age = (_moment(self._now()) - _moment(self.head.digest.time)).total_seconds()
        if age < 0:  # by a clock that was ahead: the log does not stand still until then
            age = self._monotonic() - self._taken
        return max(0.0, self._batch_seconds - age)

    async def write(
        self, only: Collection[Place] | None = None, lines: AskLines | None = None
    ) -> Written:
        """Put batches until nothing is left to log: one at least, with the digest alone if idle.

        `only`: the partitions that are known to have news; None looks at all of them. `lines`, at
        most `MOST_LINES` of them, stand in the first batch, behind its objects.
        """
        ours = batches = 0
        while True:
            head = await self.catch_up()
            others = [] if batches else await self._anchors.gather(_MOST_ANCHORS)
            others += await self._accessed.gather()
            entries = await self._registered.gather()
            more = lines if not batches else None
            room = MOST_LEAVES - 1 - len(others) - len(entries) - (MOST_LINES if more else 0)
            leaves = await self._gatherer.gather(room, only)
            if more is not None:
                others = [*await more(head, _size(head) + len(leaves) + len(entries)), *others]
            if batches and not (leaves or entries):
                assert head is not None
                return Written(head, ours, batches)
            time = self._now()  # the ends are of then or later: who reads them counts on it
            batch = self._batch(head, leaves, [*entries, *others], await self._ends(), time)
            if await self._put(batch):
                await self._take(head, batch)
                await self._write_tiles(batch.old_size, batch.new_size)
                ours, batches = ours + len(batch.leaves), batches + 1

    def _batch(
        self, head: Head | None, leaves: list[Leaf], others: list[Leaf], ends: Ends | None,
        time: str,
    ) -> Batch:  # fmt: skip
        before = Frontier() if head is None else head.frontier
        archive = self._signer.key.name
        digest = Digest(
            archive=archive, coverage=self._gatherer.coverage(leaves, ends),
            prev_root=before.root, time=time, registers=self._registered.heads(others),
        )  # fmt: skip
        whole = (*leaves, *others, Leaf(digest.line()))
        after = before.add(leaf.hash for leaf in whole)
        text = Checkpoint(origin=archive, size=after.size, root=after.root).text()
        note = self._signer.sign(text).encode().decode()
        return Batch(old_size=before.size, leaves=whole, checkpoint=note)

    async def _put(self, batch: Batch) -> bool:
        """Whether it won, and stands."""
        name, data = batch_name(batch.old_size), batch.encode()
        if await self._store.put_if_absent(name, data, {}) is PutResult.EXISTS:
            return False
        if await self._store.get(name) != data:
            raise StoreError(f"{name} was stored and reads back as something else")
        return True

    async def _write_tiles(self, old_size: int, new_size: int) -> None:
        """The tiles that are full since."""
        level, width = 0, TILE_WIDTH
        while width <= new_size:
            for index in range(old_size // width, new_size // width):
                await self._write_tile(level, index)
            level, width = level + 1, width * TILE_WIDTH

    async def _write_tile(self, level: int, index: int) -> bool:
        """Whether it was missing. They are a cache: other bytes under the name are for `verify`."""
        hashes = await self.log.hashes(level, index * TILE_WIDTH, TILE_WIDTH)
        name = tile_name(level, index)
        if await self._store.names(name, limit=1) == [name]:
            return False
        await self._store.put_if_absent(name, b"".join(hashes), {})
        return True

    async def _mend_tiles(self, size: int) -> None:
        """Write what a notary that ended between its batch and its tiles left out."""
        level, width = 0, TILE_WIDTH
        while width <= size:
            for index in reversed(range(size // width)):
                if not await self._write_tile(level, index):
                    break
            level, width = level + 1, width * TILE_WIDTH


def _size(head: Head | None) -> int:
    return 0 if head is None else head.size


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)

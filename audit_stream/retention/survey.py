"""Surveying: every segment the log has, held against class, time, holds, and what the store says.

Headers are read from the log alone, so what is not a leaf is never removed; the store is listed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from audit_stream.archive.disposed import DisposedSegments
from audit_stream.errors import RequestError
from audit_stream.evidence import layout
from audit_stream.evidence.disposal import Stretch, covered_by
from audit_stream.evidence.encoding import milliseconds, time_text
from audit_stream.evidence.ending import signed_link
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.segment import Segment, parse_header
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.ports import Inventory, Kept, WormStore
from audit_stream.retention.plan import (
    HELD,
    KEPT_BY_STORE,
    MISSING,
    HeldBy,
    Logged,
    Plan,
    ReadHolds,
    destroyable,
    expires_ms,
    nobody_holds,
)

#: A clock that is further ahead of the newest digest is not believed, nor is a log that stands.
MOST_AHEAD_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """An archive, as it is looked over."""

    store: WormStore
    log: ArchiveLog
    keys: TrustedKeys
    inventory: Inventory
    class_of: Callable[[str], str]  # of a topic
    holds: ReadHolds = nobody_holds
    years: Sequence[int] = ()  # that have keys
    longest_days: int = 0  # how long the class is kept that is kept longest

    @property
    def disposed(self) -> DisposedSegments:
        """A reader of what was disposed of."""
        return DisposedSegments(self.store, self.keys, self.log.key.name)


async def judged_now(log: ArchiveLog, clock_ms: int) -> tuple[Head, int]:
    """The log's head, and the time that expiry is judged by: the earlier one of our clock and the
    newest digest's. `RequestError` when they are far apart, or there is no log."""
    head = await log.head()
    if head is None:
        raise RequestError("there is no archive log: what it does not hold is never removed",
                           hint="run: audit-stream notary")  # fmt: skip
    digest = milliseconds(head.digest.time)
    if clock_ms - digest > MOST_AHEAD_MS:
        raise RequestError(
            f"this machine's clock says {time_text(clock_ms)}, the archive log's newest digest "
            f"{head.digest.time}: nothing is removed by a clock that runs ahead",
            hint="see that a notary runs, and that the clock is right",
        )
    return head, min(clock_ms, digest)


async def logged_segments(log: ArchiveLog, head: Head) -> AsyncIterator[Logged]:
    """Every segment that is a leaf, in the log's order."""
    async for batch in log.whole_batches(0, head.size):
        for leaf in batch.leaves:
            name = layout.parse_segment_name(leaf.name or "")
            if name is not None:
                header = parse_header(leaf.line, f"the leaf of {name}")
                yield Logged(name=name, leaf=leaf.hash, header=header)


@dataclass(slots=True)
class _Standing:
    """What the store says of its objects; a partition's folder is listed when first asked for."""

    inventory: Inventory
    _folders: dict[str, dict[str, Kept]] = field(default_factory=dict)

    async def of(self, name: SegmentName) -> Kept | None:
        folder = layout.segment_folder(name.topic, name.generation, name.partition)
        if folder not in self._folders:
            found = await self.inventory.kept(folder)
            self._folders[folder] = {each.name: each for each in found}
        return self._folders[folder].get(str(name))


class Survey:
    """One look over the archive for a class; `only` these stretches, where they are given."""

    def __init__(
        self, archived: Archived, tag: str, days: int, now_ms: int,
        only: Sequence[Stretch] | None = None,
    ) -> None:  # fmt: skip
        self._archived, self._tag, self._days, self._now = archived, tag, days, now_ms
        self._only = only
        self._standing = _Standing(archived.inventory)
        self._names: dict[str, frozenset[str]] = {}  # by folder
        self._oldest_left: int | None = None
        self.plan = Plan()

    async def run(self, head: Head) -> Plan:
        """The plan. `StoreError`, `FormatError`, `ForkAlarm`."""
        gone = await self._archived.disposed.certificates()
        held = await self._archived.holds()
        async for logged in logged_segments(self._archived.log, head):
            if covered_by(gone, logged.name):
                if await self._stands(logged.name):  # owed: what keeps it needs its year
                    self._leave(logged.oldest_ms)
            elif not await self._take(logged, held):
                self._leave(logged.oldest_ms)
        self.plan.years = await self._years(head)
        return self.plan

    async def _stands(self, name: SegmentName) -> bool:
        """Whether a segment is still there, in whichever container; of a folder, once for all."""
        folder = layout.segment_folder(name.topic, name.generation, name.partition)
        if folder not in self._names:
            self._names[folder] = frozenset(await self._archived.store.names(folder))
        return str(name) in self._names[folder]

    async def _take(self, logged: Logged, held: HeldBy) -> bool:
        """Whether it is to go."""
        if self._only is not None and not any(each.covers(logged.name) for each in self._only):
            return False
        self.plan.uncertified += 1
        if self._archived.class_of(logged.name.topic) != self._tag:
            return False
        if expires_ms(logged, self._days) > self._now:
            return False
        kept = await self._standing.of(logged.name)
        if kept is None:
            self.plan.block(MISSING)
        elif kept.held or (holds := await held(logged.name, logged.header.next)):
            self.plan.block(HELD, () if kept.held else holds)
        elif kept.until_ms is not None and kept.until_ms > self._now:
            self.plan.block(KEPT_BY_STORE)
        else:
            self.plan.expired.append(logged)
            self.plan.bytes += kept.size
            return True
        return False

    def _leave(self, oldest_ms: int | None) -> None:
        if oldest_ms is not None and (self._oldest_left is None or oldest_ms < self._oldest_left):
            self._oldest_left = oldest_ms

    async def _years(self, head: Head) -> tuple[int, ...]:
        """Years whose keys nothing needs any more once the plan is carried out."""
        if not self._destroyable():
            return ()
        await self._look_behind(head)
        return self._destroyable()

    def _destroyable(self) -> tuple[int, ...]:
        days = max(self._days, self._archived.longest_days)  # all classes have the same keys
        return destroyable(self._archived.years, self._oldest_left, self._now, days)

    async def _look_behind(self, head: Head) -> None:
        """Segments that are stored and not logged yet need their years, too."""
        store, known = self._archived.store, set()
        names: list[str] = []
        for covered in head.digest.coverage:
            known.add((covered.topic, covered.generation))
            folder = layout.segment_folder(covered.topic, covered.generation, covered.partition)
            names += await store.names(folder, after=f"{folder}{covered.archived_next:020d}")
        for name in await store.names("streams/"):
            stream = layout.parse_stream_name(name)
            if stream is not None and stream not in known:
                names += await store.names(f"segments/{stream[0]}/{stream[1]:05d}/")
        for name in names:
            self._leave(await self._oldest(name))

    async def _oldest(self, name: str) -> int | None:
        data = await self._archived.store.get(name)
        link = None if data is None else signed_link(data, name, self._archived.keys)
        if not isinstance(link, Segment):
            return None
        return Logged(name=_name(link), leaf=link.leaf, header=link.header).oldest_ms


def _name(segment: Segment) -> SegmentName:
    header = segment.header
    return SegmentName(header.topic, header.generation, header.partition, header.base)

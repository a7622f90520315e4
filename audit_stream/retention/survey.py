"""Surveying: every segment the log has, held against class, time, holds, and what the store says.

Headers are read from the log alone, so what is not a leaf is never removed; the store is listed.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from audit_stream.archive.ahead import in_flight
from audit_stream.archive.disposed import DisposedSegments
from audit_stream.errors import RequestError
from audit_stream.evidence import layout
from audit_stream.evidence.disposal import Stretch, Stretches
from audit_stream.evidence.encoding import milliseconds, time_text
from audit_stream.evidence.ending import signed_link
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.segment import Segment, parse_header
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.ports import Inventory, Kept, WormStore
from audit_stream.retention.names import Ascending
from audit_stream.retention.plan import (
    HELD,
    KEPT_BY_STORE,
    MISSING,
    Holding,
    Logged,
    Plan,
    ReadHolds,
    destroyable,
    expires_ms,
    nobody_holds,
)

T = TypeVar("T")
#: Expired segments that are in mind at once, at 2 kB each: then the store is asked about them.
ASKED_ABOUT = 20_000
#: A clock that is further ahead of the newest digest is not believed, nor is a log that stands.
MOST_AHEAD_MS = 3_600_000
_IN_FLIGHT = 8  # segments that are read at once, of some megabytes


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


async def logged_segments(log: ArchiveLog, part: tuple[int, int]) -> AsyncIterator[Logged]:
    """Every segment that is a leaf, in the log's order, of the batches from one leaf to another."""
    async for batch in log.whole_batches(*part):
        for leaf in batch.leaves:
            name = layout.parse_segment_name(leaf.name or "")
            if name is not None:
                header = parse_header(leaf.line, f"the leaf of {name}")
                yield Logged(name=name, leaf=leaf.hash, header=header,
                             batch=(batch.old_size, batch.new_size))  # fmt: skip


#: Why a segment whose time is over must stay nevertheless; None when it may go.
Check = Callable[[Logged], Awaitable[str | None]]
Stays = tuple[str, Sequence[str]]  # why, and the ids of the holds that it is for


class Survey:
    """One look over the archive for a class; `only` these stretches, where they are given, and
    nothing that does not pass the `check`. What it keeps in mind does not grow with the archive:
    the log is gone through in its order, and the store is asked about what has expired alone."""

    def __init__(
        self, archived: Archived, tag: str, days: int, now_ms: int,
        only: Sequence[Stretch] | None = None, check: Check | None = None,
    ) -> None:  # fmt: skip
        self._archived, self._tag, self._days, self._now = archived, tag, days, now_ms
        self._only = None if only is None else Stretches(only)
        self._check = check
        self._standing: dict[str, Ascending] = {}  # by folder
        self._due: dict[str, list[Logged]] = {}  # by folder: the store is not asked yet
        self._waiting = 0
        self._oldest_left: int | None = None
        self.plan = Plan()
        self.holding: Holding | None = None  # the holds that it went by

    async def run(self, head: Head) -> Plan:
        """The plan. `StoreError`, `FormatError`, `ForkAlarm`."""
        certificates = await self._archived.disposed.certificates()
        gone = Stretches(each for one in certificates for each in one.stretches)
        self.holding = await self._archived.holds()
        async for logged in logged_segments(self._archived.log, (0, head.size)):
            if logged.name in gone:
                if await self._stands(logged.name):  # owed: what keeps it needs its year
                    self._leave(logged.oldest_ms)
            elif self._is_due(logged):
                await self._wait(logged)
            else:
                self._leave(logged.oldest_ms)
        await self._judge_due()
        self.plan.years = await self._years(head)
        return self.plan

    async def _stands(self, name: SegmentName) -> bool:
        """Whether a segment is still there, in whichever container."""
        folder = _folder(name)
        if folder not in self._standing:
            self._standing[folder] = Ascending(self._archived.store, folder)
        return await self._standing[folder].has(str(name))

    def _is_due(self, logged: Logged) -> bool:
        """Whether it is of the class, and its time is over by its header."""
        if self._only is not None and logged.name not in self._only:
            return False
        self.plan.uncertified += 1
        if self._archived.class_of(logged.name.topic) != self._tag:
            return False
        return expires_ms(logged, self._days) <= self._now

    async def _wait(self, logged: Logged) -> None:
        """For the store to be asked about it: about many of a folder at once."""
        self._due.setdefault(_folder(logged.name), []).append(logged)
        self._waiting += 1
        if self._waiting == ASKED_ABOUT:
            await self._judge_due()

    async def _judge_due(self) -> None:
        for folder, due in self._due.items():
            for run in _runs(due):
                await self._judge(folder, run)
        self._due.clear()
        self._waiting = 0

    async def _judge(self, folder: str, run: Sequence[Logged]) -> None:
        """Segments behind one another: the store is asked about what stands there, and no more."""
        start, end = run[0].name.base, run[-1].header.next
        found = await self._archived.inventory.kept(
            folder, after=layout.at_base(folder, start), before=layout.at_base(folder, end)
        )
        kept = {each.name: each for each in found}

        async def look(logged: Logged) -> Stays | None:
            return await self._why_stays(logged, kept.get(str(logged.name)))

        async with aclosing(looked_at(run, look)) as answers:
            async for logged, stays in answers:
                if stays is None:
                    self.plan.add(logged, kept[str(logged.name)].size)
                else:
                    self.plan.block(*stays)
                    self._leave(logged.oldest_ms)

    async def _why_stays(self, logged: Logged, kept: Kept | None) -> Stays | None:
        """None when it is to go."""
        assert self.holding is not None  # they were read first
        if kept is None:
            return MISSING, ()
        if kept.held or (holds := await self.holding.held(logged.name, logged.header.next)):
            return HELD, () if kept.held else holds
        if kept.until_ms is not None and kept.until_ms > self._now:
            return KEPT_BY_STORE, ()
        why = None if self._check is None else await self._check(logged)
        return None if why is None else (why, ())

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
            names += await store.names(folder, after=layout.at_base(folder, covered.archived_next))
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


async def looked_at(
    segments: Iterable[Logged] | AsyncIterable[Logged], look: Callable[[Logged], Awaitable[T]]
) -> AsyncGenerator[tuple[Logged, T], None]:
    """Each with what a look at it says, in their order, some of them looked at beside each other.
    Who does not take all of it closes it (`contextlib.aclosing`)."""

    async def work(logged: Logged) -> tuple[Logged, T]:
        return logged, await look(logged)

    async with aclosing(in_flight(segments, work, _IN_FLIGHT)) as answers:
        async for answer in answers:
            yield answer


def _runs(segments: Iterable[Logged]) -> Iterator[list[Logged]]:
    """Of one folder's segments, those that are behind one another."""
    run: list[Logged] = []
    for each in sorted(segments, key=lambda logged: logged.name):
        if run and run[-1].header.next != each.name.base:
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def _folder(name: SegmentName) -> str:
    return layout.segment_folder(name.topic, name.generation, name.partition)


def _name(segment: Segment) -> SegmentName:
    header = segment.header
    return SegmentName(header.topic, header.generation, header.partition, header.base)

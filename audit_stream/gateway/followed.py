"""An archive as one gateway knows it: index and log, kept up to date in the background."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from audit_stream.archive.certificates import Certificates
from audit_stream.archive.disposed import DisposedSegments
from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import AuditError, ForkAlarm, StateError, StoreError
from audit_stream.evidence.disposal import Disposal
from audit_stream.evidence.vouching import Vouched
from audit_stream.gateway.answer import AsOf, Known, Through
from audit_stream.gateway.covered import Coverage
from audit_stream.gateway.redacted import Redacted
from audit_stream.gateway.watch import Watch
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.rows import Indexed, log_rows
from audit_stream.index.sweep import sweep
from audit_stream.index.tail import Archive, Tail
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.ports import Alerts
from audit_stream.privacy.keyring import Keyring
from audit_stream.telemetry.discreet import where

log = logging.getLogger(__name__)
_SWEEP_SECONDS, _AGAIN_SECONDS = 3600.0, 60.0
_LOOKS = 20  # a search for anchors that found none goes over many sizes: of time a twentieth for it
_REFRESH, _SWEEP = "refresh", "sweep"
_DOES_NOT_FIT = {_REFRESH: "fork:log", _SWEEP: "fork:sweep"}  # alarms that nothing closes


@dataclass(slots=True, kw_only=True)
class Followed:
    """How far the archive is known here, and what of it does not fit."""

    archive: Archive
    index: ArchiveIndex
    tail: Tail
    archive_log: ArchiveLog
    alarms: Alerts
    vouched: Callable[[], Awaitable[Vouched | None]]  # the newest that anyone outside vouches for
    head: Head | None = None
    anchored: Vouched | None = None
    as_of: AsOf | None = None  # the log that what is indexed was held against; None: none yet
    told: Callable[[bool], None] = lambda _: None  # whether the index has everything that is stored
    broken: Sequence[str] = ()  # topic/generation/partition that are not indexed as logged
    disposed: Sequence[Disposal] = ()  # certificates, of whatever period
    caught_up: bool = False
    caught_up_at: float = field(default_factory=time.monotonic)  # or when it began
    watch: Watch = field(default_factory=Watch)
    certificates: Certificates = field(init=False)
    _disposals: DisposedSegments = field(init=False)
    _judged_size: int = -1
    _look_again: float = 0.0  # for who vouches, on the monotonic clock
    _through: tuple[int, Through] = (-1, {})  # as of so many segments taken; none is changed
    _coverage: Coverage = field(default_factory=Coverage)
    _to_sweep: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        archive = self.archive
        given = archive.store, archive.keys, archive.keyring.archive
        self.certificates, self._disposals = Certificates(*given), DisposedSegments(*given)

    @property
    def redacted(self) -> Redacted:
        """What answers say of what was erased."""
        archive = self.archive
        private = None
        if archive.subjects is not None:
            private = PrivateObjects(archive.subjects, archive.keyring.index_key)
        return Redacted(self.certificates, private, archive.keyring)

    def use_keys(self, keyring: Keyring) -> None:
        """From now on that keyring, of the same archive, and not the one before."""
        self.archive = replace(self.archive, keyring=keyring)
        self.tail.use_keys(keyring)

    async def refresh(self) -> None:
        """Index what is stored by now, and follow the log. What it covers must be there."""
        await self._follow(self.certificates.poll, "fork:redactions")
        await self._follow(self._new_disposals, "fork:disposals")
        taken = await self.tail.catch_up()
        await self._follow_log()
        coverage = Coverage(() if self.head is None else self.head.digest.coverage)
        broken = coverage.compare(self.tail.places, self.index)
        if broken:  # or it was stored and logged meanwhile
            taken = await self.tail.catch_up()
            broken = coverage.compare(self.tail.places, self.index)
        self._coverage = coverage  # not before that is sure: answers are given all the time
        self.as_of = self._as_of_head()
        self.broken = broken
        for each in broken:
            self.alarms.raise_alarm(
                f"tampered:{each}", f"{each}: the archive log has other segments, or more of them"
            )
        self.caught_up = not taken.stopped and not broken
        if self.caught_up:
            self.caught_up_at = time.monotonic()
        self.told(self.caught_up)

    async def keep_fresh(self, seconds: float) -> None:
        """For ever. Every hour, and once somebody was erased or something disposed of, the persons'
        rows are held against the subject objects, beside it: that reads all there are, and what is
        stored meanwhile is to be found, too."""
        never = asyncio.Event()
        await asyncio.gather(
            self._kept(_REFRESH, "the index", self.refresh, seconds, never),
            self._kept(_SWEEP, "the index of persons", self._sweep, _SWEEP_SECONDS,
                       self._to_sweep),
        )  # fmt: skip

    async def _sweep(self) -> None:
        self._to_sweep.clear()  # before it: who is erased meanwhile is swept out by the next one
        await sweep(self.archive, self.index)

    async def _kept(
        self, key: str, what: str, work: Callable[[], Awaitable[None]], seconds: float,
        at_once: asyncio.Event,
    ) -> None:  # fmt: skip
        """What may pass is logged and soon tried again; what does not fit is an alarm."""
        while True:
            pause = seconds
            try:
                await work()
            except StoreError as error:
                log.warning("%s could not be brought up to date: %s", what, error.message)
                pause = min(seconds, _AGAIN_SECONDS)
            except AuditError as error:
                self.alarms.raise_alarm(_DOES_NOT_FIT[key], str(error))
            except Exception as error:  # what nobody thought of must not leave it stale unsaid
                said = f"{what} is not brought up to date: {type(error).__name__}"
                self.alarms.raise_alarm(f"index:{key}", f"{said} at {where(error)}")
            else:
                self.alarms.close_alarm(f"index:{key}", f"{what} is brought up to date again")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(at_once.wait(), pause)

    async def _follow(self, is_new: Callable[[], Awaitable[bool]], alarm: str) -> None:
        """Once there is another certificate, rows that lead to what it is about have to go."""
        try:
            if await is_new():
                self._to_sweep.set()
        except StoreError:
            raise
        except AuditError as error:
            self.alarms.raise_alarm(alarm, str(error))

    async def _new_disposals(self) -> bool:
        before, self.disposed = self.disposed, tuple(await self._disposals.certificates())
        return len(self.disposed) > len(before)

    async def _follow_log(self) -> None:
        size = self.index.log_size()
        if self.head is None and size:
            head = await self.archive_log.head_at(size)
            if head is None:
                raise StateError(
                    f"the index knows an archive log of {size} leaves, which the archive has not",
                    hint="was the log cut off? audit-stream log check, then index rebuild --fresh",
                )
            if self.index.log_root() not in (None, head.root):
                raise ForkAlarm(
                    f"the archive log of {size} leaves has another root than when it was indexed",
                    hint="audit-stream log check with a kept checkpoint; docs/runbooks/fork.md",
                )
            self.head = head
            self.watch.saw(head.digest)
        while (batch := await self.archive_log.batch(size)) is not None:
            head = self.archive_log.head_behind(self.head, batch)
            self.index.write(log_rows(batch, head.root))
            self.head, size = head, head.size  # not before its rows: else it is asked for again
            self.watch.saw(head.digest)
        if size != self._judged_size and time.monotonic() >= self._look_again:
            await self._look_who_vouches()
            self._judged_size = size

    async def _look_who_vouches(self) -> None:
        began = time.monotonic()
        self.anchored = await self.vouched()
        spent = time.monotonic() - began
        self._look_again = 0.0 if self.anchored else began + _LOOKS * spent

    @property
    def behind_seconds(self) -> float:
        """Since when it does not know what is stored."""
        return time.monotonic() - self.caught_up_at

    def _as_of_head(self) -> AsOf | None:
        if self.head is None:
            return None
        head = self.head
        return AsOf(
            size=head.size, root=head.root.hex(), time=head.digest.time,
            anchored_size=None if self.anchored is None else self.anchored.checkpoint.size,
        )  # fmt: skip

    def known(self) -> Known:
        """How far the archive is known now: to be taken before anything is looked up."""
        return Known(as_of=self.as_of, through=self._archived_through())

    def _archived_through(self) -> Through:
        """By topic: the first offset of each partition that is not indexed yet."""
        taken, through = self._through
        if taken != self.tail.taken:
            taken, through = self.tail.taken, _by_topic(self.index.places().values())
            self._through = taken, through
        return through


def _by_topic(places: Iterable[Indexed]) -> Through:
    found: dict[str, list[dict[str, int]]] = {}
    for each in sorted(places, key=str):
        found.setdefault(each.topic, []).append({
            "generation": each.generation, "partition": each.partition, "next": each.link.next,
        })  # fmt: skip
    return found

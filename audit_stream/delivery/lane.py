"""One partition of a stream on its way to a receiver: segment by segment, position by position."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from audit_stream.archive.ahead import in_flight
from audit_stream.archive.chain import Chain, Ended, Found, check_continues, check_whole
from audit_stream.delivery.body import KeyForm
from audit_stream.delivery.brake import Brake
from audit_stream.delivery.courier import Courier
from audit_stream.delivery.parcel import Parcel, parcels
from audit_stream.delivery.position import Position, Positions
from audit_stream.delivery.undeliverable import Undeliverable
from audit_stream.errors import ForkAlarm
from audit_stream.ports import Clock

log = logging.getLogger(__name__)
SAVE_SECONDS = 1.0  # a position that moves is written so often, if not before
_TURN_SECONDS = 10.0  # then another partition has its turn
_HOLE_SECONDS = 60.0  # between two looks whether segments stand behind a free name
#: Keeps entries durably; what they are of counts as settled then.
Keep = Callable[[Sequence[Undeliverable]], Awaitable[None]]
#: Told how records ended: ``stored``, ``rejected`` or ``disposed``, and how many.
Told = Callable[[str, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the lanes of a target share."""

    courier: Courier
    positions: Positions
    keep: Keep
    brake: Brake
    told: Told
    clock: Clock
    archive: str  # its name
    key_form: KeyForm = KeyForm.STATUS
    save_records: int = 500
    longest_turn: float = 300.0  # seconds, for what is under way at the end of a turn, too
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


class Lane:
    """A partition, how far it is, and how it goes on. One turn at a time."""

    def __init__(self, work: Work, chain: Chain, position: Position) -> None:
        self._work, self.chain = work, chain
        self._saved = self.position = position
        self._entries: list[Undeliverable] = []
        self._unsaved, self._saved_at, self._looked_at = 0, 0.0, -_HOLE_SECONDS
        self._writing: asyncio.Future[None] | None = None
        self.ended = False  # no segment will ever come
        self.oldest_ms: int | None = None  # Kafka time of the segment at work; None: nothing is

    def __str__(self) -> str:
        return str(self.position)

    async def turn(self) -> bool:
        """Deliver for some seconds; whether there may be more at once.

        What is settled when it fails and was not written is delivered again, under the same keys;
        so is what a receiver comes to no end with, in a later turn.
        """
        await self._settle_writing()
        self.position, self._unsaved = self._saved, 0
        self._entries.clear()
        self._saved_at = self._now()
        try:
            async with asyncio.timeout(self._work.longest_turn) as longest:
                more = await self._go_on(self._now() + _TURN_SECONDS)
        except TimeoutError:
            if not longest.expired():
                raise
            await self._settle_writing()
            log.warning("%s: the posts from offset %d on come to no end, others have their turn",
                        self, self.position.settled)  # fmt: skip
            more = True
        await self._save()
        return more

    async def _go_on(self, until: float) -> bool:
        while self._now() < until and not self._work.stopping.is_set():
            found = await self._next()
            if found is None:
                return False
            await self._deliver(found, until)
        return True

    async def _next(self) -> Found | None:
        """The segment to go on with, checked as far as a reader of one segment can."""
        at = await self.chain.at(self.position.next)
        if not isinstance(at, Found):
            self.oldest_ms, self.ended = None, isinstance(at, Ended)
            if not self.ended and self._now() - self._looked_at >= _HOLE_SECONDS:
                await self.chain.check_no_hole(self.position.link)
                self._looked_at = self._now()
            return None
        check_continues(at.segment, self.position.link, str(at.name))
        if self.position.within not in (None, at.segment.leaf.hex()):
            raise ForkAlarm(
                f"{at.name} is not the segment that its delivery began with",
                hint="is AUDIT_DELIVERY_POSITIONS of this archive? read docs/runbooks/fork.md",
            )
        await asyncio.to_thread(check_whole, at, self._work.archive)
        self.oldest_ms = at.segment.header.first_ts
        return at

    async def _deliver(self, found: Found, until: float) -> None:
        """The segment's records, or as many as there is time for."""
        leaf, header, whole = found.segment.leaf.hex(), found.segment.header, asyncio.Event()
        source = self._parcels(found, until, whole)
        size = 2 * self._work.courier.width
        async with contextlib.aclosing(in_flight(source, self._post, size)) as outcomes:
            async for offset, refused in outcomes:
                self._work.brake.met(refused)
                self._entries += [] if refused is None else [refused]
                self._unsaved += 1
                self.position = self.position.inside(leaf, offset + 1)
                await self._save_if_due()
        if whole.is_set():
            self._work.told("disposed", header.count if found.disposed else 0)
            self.position = self.position.behind(found.link)
            await self._save_if_due()

    async def _parcels(
        self, found: Found, until: float, whole: asyncio.Event
    ) -> AsyncIterator[Parcel]:
        begin = self.position.settled
        tags = await self._work.courier.fields.tags(found)
        for parcel in parcels(found, tags, self._work.key_form):
            if parcel.offset < begin:
                continue
            if self._now() >= until or self._work.stopping.is_set():
                return
            yield parcel
        whole.set()

    async def _post(self, parcel: Parcel) -> tuple[int, Undeliverable | None]:
        return parcel.offset, await self._work.courier.post(parcel)

    async def _save_if_due(self) -> None:
        elapsed = self._now() - self._saved_at
        if self._unsaved >= self._work.save_records or elapsed >= SAVE_SECONDS:
            await self._save()

    async def _save(self) -> None:
        """Write down how far it is. A turn that is cancelled leaves no write half known."""
        self._writing = asyncio.ensure_future(self._write())
        await asyncio.shield(self._writing)

    async def _settle_writing(self) -> None:
        """Wait for the write that a cancelled turn left under way; its failure is that turn's."""
        if self._writing is not None:
            await asyncio.wait({self._writing})
            self._writing.exception()

    async def _write(self) -> None:
        """Keep what was refused, then say how far all is settled: never the other way round."""
        rejected = len(self._entries)
        if self._entries:
            await self._work.keep(self._entries)
            self._entries.clear()
        if self.position != self._saved:
            await self._work.positions.move(self.position)
            self._saved = self.position
        self._work.told("stored", self._unsaved - rejected)
        self._work.told("rejected", rejected)
        self._unsaved, self._saved_at = 0, self._now()

    def _now(self) -> float:
        return self._work.clock.monotonic()

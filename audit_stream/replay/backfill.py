"""`backfill`: one partition's history judged anew and stored in another archive.

The worker's own lane and storing steps, with states of their own: the target archive is the log.
So a crash at any point redoes at most what was not stored, and a redo writes the same lines.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from audit_stream.archive.ahead import ahead
from audit_stream.archive.chain import Chain
from audit_stream.errors import ConfigError
from audit_stream.evidence.ledger import VOID_LETTERS, letter_counts
from audit_stream.kafka.rawlog import RawBatch
from audit_stream.privacy.subjects import KeyDeriver
from audit_stream.replay.cursor import RawSource
from audit_stream.replay.states import NoLog, States
from audit_stream.seal.builder import Link
from audit_stream.stream.context import Context
from audit_stream.stream.lane import Lane
from audit_stream.stream.resync import Resync
from audit_stream.stream.storing import Overtaken, Storing

_AHEAD = 2  # batches of some megabytes
_STOP_SECONDS = 10.0  # for the segment that is being stored when a stop is asked for


@dataclass(slots=True, kw_only=True)
class BackfillReport:
    """What was done of one partition of one stream."""

    topic: str
    generation: int
    partition: int
    genesis: int
    began: int = 0  # first offset of this run
    next: int = 0  # first offset not stored
    end: int = 0  # the raw log's, as far as it was asked for
    segments: int = 0  # of this run
    dispositions: Counter[str] = field(default_factory=Counter)  # by ledger letter, of this run
    complete: bool = False
    error: str | None = None
    seconds: float = 0.0

    @property
    def events(self) -> int:
        """Offsets judged in this run."""
        return self.dispositions.total()


class Backfill:
    """Stores one partition of the raw log behind the end of the target's chain."""

    def __init__(
        self, context: Context, chain: Chain, source: RawSource, states: States, keys: KeyDeriver,
        report: BackfillReport, *, told: Callable[[int, int], None],
        spend: Callable[[int], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._context, self._chain, self._source = context, chain, source
        self._states, self._keys, self._report = states, keys, report
        self._told, self._spend = told, spend
        self._under_way: asyncio.Task[None] | None = None

    async def run(self, *, until_caught_up: bool) -> None:
        """Up to the raw log's end as it is now, or, asked so, until there is nothing behind it."""
        report = self._report
        report.end = (await self._source.bounds())[1]
        link = await self._resync()
        report.began = link.next
        while link.next < report.end:
            with contextlib.suppress(Overtaken):  # another backfill stored first: behind it, then
                await self._store_all(link, report.end)
            link = await self._resync()
            if until_caught_up and link.next >= report.end:
                report.end = (await self._source.bounds())[1]
        report.complete = True

    async def _resync(self) -> Link:
        """Bring the states up to the target's chain; where it ends."""
        link, _ = await Resync(self._states, NoLog()).fold(self._chain)
        self._report.next = link.next
        return link

    async def _store_all(self, link: Link, end: int) -> None:
        lane = Lane(
            self._context, self._chain.stream, self._chain.partition, link, self._states.get,
            self._keys,
        )  # fmt: skip
        storing = Storing(lane, self._chain, self._states, NoLog(), self._stored)
        try:
            async with ahead(self._source.batches(link.next, end), _AHEAD) as batches:
                async for batch in batches:
                    await self._take(lane, storing, batch if batch.next <= end else
                                     batch.split(end)[0])  # fmt: skip
            lane.cut()
            await self._store(storing)
            await self._settle()
        except asyncio.CancelledError:
            if self._under_way is not None:
                await asyncio.wait({self._under_way}, timeout=_STOP_SECONDS)
            raise
        finally:
            lane.drop()
            if self._under_way is not None:
                self._under_way.cancel()
                await asyncio.gather(self._under_way, return_exceptions=True)
                self._under_way = None

    async def _take(self, lane: Lane, storing: Storing, batch: RawBatch) -> None:
        records = list(batch.records)
        for chunk in lane.decide(records, batch.base, batch.next, batch.lost_before):
            if lane.braked(chunk):
                raise ConfigError(
                    f"{lane.name}: nearly everything from offset {chunk.base} on would go to "
                    "quarantine",
                    hint="fix the status map (docs/runbooks/quarantine-brake.md)",
                )
            counted = letter_counts(chunk.runs)
            self._report.dispositions.update(counted)
            lane.take(chunk)
            if lane.full:
                await self._store(storing)
            await asyncio.sleep(0)  # storing and fetching get their turn
            await self._spend(counted.total() - sum(counted[letter] for letter in VOID_LETTERS))

    async def _store(self, storing: Storing) -> None:
        """Begin to store what is full, once what was full before is stored."""
        await self._settle()
        self._under_way = asyncio.create_task(storing.store_full())

    async def _settle(self) -> None:
        if self._under_way is not None:
            await self._under_way
            self._under_way = None

    def _stored(self, lane: Lane, offset: int) -> None:
        self._report.segments += 1
        self._report.next = offset
        self._told(offset, self._report.end)

"""`replay --compare`: a partition's archived segments against what the raw log gives again.

Nothing is written to the archive. The states before the range come from the raw log itself when it
still reaches back to the genesis of the stream, else from the archive's earlier segments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from audit_stream.archive.ahead import ahead
from audit_stream.archive.chain import Chain, Found, check_body
from audit_stream.archive.fold import states_of
from audit_stream.archive.range import Range
from audit_stream.evidence.segment import Header
from audit_stream.flatten.status_map import StatusMap
from audit_stream.precedence.matrix import State
from audit_stream.replay.cursor import Cursor, RawSource, RetentionOvertook
from audit_stream.replay.rejudge import Maps, Rejudge, Rules
from audit_stream.replay.segment import Compared, compare_segment
from audit_stream.replay.states import States
from audit_stream.replay.tally import ANOTHER_LOG, DISPOSED, LOG_ENDS, NO_MAP, RETENTION, Tally
from audit_stream.seal.builder import Link, SegmentBuilder

_AHEAD = 2  # segments of some megabytes
#: Told after each segment: the first offset not done, and where the archive ends.
Told = Callable[[int, int], None]
#: Awaited after so many raw records: the rate limit.
Spend = Callable[[int], Awaitable[None]]


class Comparison:
    """Compares one partition of one stream; `run` may be cancelled at any time."""

    def __init__(
        self, chain: Chain, source: RawSource | None, states: States, rejudge: Rejudge,
        rules: Rules, maps: Maps, wanted: Range, tally: Tally, *, told: Told, spend: Spend,
        keep_going: bool = False, dry_run: bool = False,
    ) -> None:  # fmt: skip
        """`source` is None when the broker's topic is not the log that was archived."""
        self._chain, self._source, self._states = chain, source, states
        self._rejudge, self._rules, self._maps, self._wanted = rejudge, rules, maps, wanted
        self._told, self._spend = told, spend
        self._keep_going, self._dry_run = keep_going, dry_run
        self._log_start = self._log_end = 0
        self.tally = tally

    async def run(self, link: Link) -> None:
        """Go through the segments behind `link`, up to what is stored now."""
        last = await self._chain.last()
        if last is None:
            return
        until = last.segment.header.next
        if self._source is not None:
            self._log_start, self._log_end = await self._source.bounds()
        async with (
            Cursor(self._source, min(self._log_end, until)) as cursor,
            ahead(self._chain.follow_all(link), _AHEAD) as segments,
        ):
            async for found in segments:
                header = found.segment.header
                if header.base >= until or self._wanted.is_behind(header):
                    return
                await self._segment(found, cursor)
                self._told(header.next, until)
                if self.tally.differing and not self._keep_going:
                    return

    async def _segment(self, found: Found, cursor: Cursor) -> None:
        header = found.segment.header
        if self.tally.in_range == 0 and self._wanted.is_before(header):
            await self._fold(found)
            return
        status_map = await self._maps.get(header.status_map)
        while True:
            reason = self._why_not(header, status_map)
            if reason is not None or status_map is None:
                self.tally.pass_over(header, DISPOSED if found.disposed else reason or NO_MAP)
                await self._fold(found)
                return
            try:
                await self._compare(found, status_map, cursor)
                return
            except RetentionOvertook as overtook:
                self._log_start = overtook.log_start
                self._rejudge.overlay.clear()

    def _why_not(self, header: Header, status_map: StatusMap | None) -> str | None:
        if self._source is None:
            return ANOTHER_LOG
        if header.next <= self._log_start:
            return RETENTION
        if header.next > self._log_end:
            return LOG_ENDS
        return NO_MAP if status_map is None else None

    async def _fold(self, found: Found) -> None:
        """Take the states from the archive: the raw log cannot give them."""
        self.tally.folded += found.segment.header.next - found.segment.header.base
        if self._dry_run:
            return
        states = await asyncio.to_thread(_states_of, found)
        self._rejudge.overlay.update(states)
        self._commit(found)

    async def _compare(self, found: Found, status_map: StatusMap, cursor: Cursor) -> None:
        header = found.segment.header
        start = max(header.base, self._log_start)
        compared = Compared(None, records=header.count)
        await self._fold_below(found, start)
        if found.disposed:  # there is nothing to compare, and states that go on behind it
            if not self._dry_run:
                await self._derive(found, status_map, start, cursor)
            self.tally.pass_over(header, DISPOSED)
            self._commit(found)
            return
        if not self._dry_run:
            derived = await self._derive(found, status_map, start, cursor)
            compared = await asyncio.to_thread(
                compare_segment, found, derived, self._chain.stream, self._rules.raw_key
            )
        self.tally.take(header, start, compared)
        self._commit(found)

    async def _fold_below(self, found: Found, start: int) -> None:
        if start == found.segment.header.base:
            return
        self.tally.folded += start - found.segment.header.base
        states = await asyncio.to_thread(_states_of, found, start)
        self._rejudge.overlay.update(states)

    async def _derive(
        self, found: Found, status_map: StatusMap, start: int, cursor: Cursor
    ) -> SegmentBuilder:
        judge = self._rejudge.judge_of(found.segment, status_map)
        builder = SegmentBuilder(start, self._rules.raw_key)
        async for batch in cursor.read(start, found.segment.header.next):
            chunk = await asyncio.to_thread(self._rejudge.judge, judge, batch)
            builder.add(chunk, 0)
            self.tally.events += len(batch.records)
            await self._spend(len(batch.records))
        return builder

    def _commit(self, found: Found) -> None:
        """Apply the states and note the position, in one write."""
        if self._dry_run:
            return
        overlay, segment = self._rejudge.overlay, found.segment
        changes = self._states.form.changes_of(segment.header, segment.leaf, overlay)
        self._states.commit(changes, self.tally.encode())
        overlay.clear()


def _states_of(found: Found, below: int | None = None) -> dict[bytes, State]:
    """`ForkAlarm` for records that are not what the header says; nothing else looks at them."""
    if not found.disposed:
        check_body(found.segment, str(found.name))
    return states_of(found.segment, str(found.name), below)

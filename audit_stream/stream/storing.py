"""Storing one sealed segment: the steps whose order is the guarantee.

(1) seal, (2) subject object, (3) quarantine copies acked, (4) put the segment if absent, (5) read
it back and set its legal hold if it has a held record, (6) states to the changelog in one
transaction, (7) one local WriteBatch, (8) ack the batches. A crash between any two redoes at most
what was not stored: the archive is the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from audit_stream.archive.chain import Chain, Ended, Free, check_continues
from audit_stream.errors import ForkAlarm, StoreError
from audit_stream.evidence import ledger
from audit_stream.evidence.segment import Header, Segment, decode
from audit_stream.ports import PutResult
from audit_stream.privacy.named_object import NONCE_BYTES
from audit_stream.privacy.subject_object import seal_tags
from audit_stream.seal.builder import Sealed, SegmentBuilder
from audit_stream.stream.context import Context
from audit_stream.stream.lane import Lane
from audit_stream.stream.state import StateLog, StateTable

log = logging.getLogger(__name__)
T = TypeVar("T")


class Overtaken(Exception):
    """Another writer's segment stands under the name: the lane starts again from the archive."""


class Outdated(Exception):
    """Somebody was erased: nothing may be sealed with these keys any more."""


class Storing:
    """Takes a lane's full builders through the steps, one after another."""

    def __init__(
        self, lane: Lane, chain: Chain, table: StateTable, changelog: StateLog,
        ack: Callable[[Lane, int], None],
    ) -> None:  # fmt: skip
        self.lane = lane
        self._chain = chain
        self._table = table
        self._changelog = changelog
        self._ack = ack
        self._void: tuple[dict[str, str], ...] = ()

    @property
    def _context(self) -> Context:
        """The lane's: once that is dropped, without keys to persons."""
        return self.lane.context

    async def run(self) -> None:
        """Store until the lane is dropped. Raises `Overtaken`, `Outdated`, or what ends the
        process."""
        lane = self.lane
        while lane.live:
            await lane.work.wait()
            lane.work.clear()
            await self.store_full()

    async def store_full(self) -> None:
        """Store the builders that are full now, one after another."""
        lane = self.lane
        while lane.full:  # emptied when the lane is dropped
            await self._store(lane.full[0])
            if lane.full:
                lane.full.popleft()

    async def _store(self, builder: SegmentBuilder) -> None:
        context, lane = self._context, self.lane
        started = context.monotonic_ms()
        sealed = await self._step("seal", self._seal(builder))
        context.metrics.seal_seconds.observe((context.monotonic_ms() - started) / 1000)
        await self._step("subject", self._put_subjects(sealed))
        await self._step("quarantine", self._await_copies(sealed.header.next))
        if not lane.live:
            return
        put = await self._step("put", self._put(sealed))
        if put is PutResult.EXISTS:
            await self._meet_winner(builder, sealed)
            return
        await self._step("read-back", self._read_back(sealed))
        await self._hold(builder, sealed)
        context.stored(sealed)
        self._measure(sealed)  # also where the partition was handed over meanwhile
        if lane.live:
            await self._apply(sealed)

    async def _step(self, name: str, work: Awaitable[T]) -> T:
        self._context.hook(name, "before")
        result = await work
        self._context.hook(name, "after")
        return result

    async def _seal(self, builder: SegmentBuilder) -> Sealed:
        context, lane = self._context, self.lane
        return await asyncio.to_thread(  # hashing and deflate let go of the interpreter lock
            builder.seal, lane.link, lane.stream, lane.partition, context.origin, context.signer,
            context.wall_ms(), self._void,
        )  # fmt: skip

    async def _put_subjects(self, sealed: Sealed) -> None:
        await self._check_epoch(sealed)  # who slept through an erasure must leave no tag behind it
        name = sealed.subject_name
        data = seal_tags(
            self._context.keyring.index_key, name, sealed.tags, self._context.nonce(NONCE_BYTES)
        )
        await self._context.subjects.create(name, data)
        # An erasure that did not see this object yet has moved the epoch on before: look again.
        await self._check_epoch(sealed)

    async def _check_epoch(self, sealed: Sealed) -> None:
        if await self._context.newest_epoch() > sealed.header.key_epoch:
            raise Outdated

    async def _await_copies(self, until: int) -> None:
        copies = self.lane.copies
        while copies and copies[0][0] < until:
            await copies[0][1]
            copies.popleft()

    async def _put(self, sealed: Sealed) -> PutResult:
        context = self._context
        tag = context.regulatory_tags[sealed.name.topic]
        started = context.monotonic_ms()
        result = await context.store.put_if_absent(
            str(sealed.name), sealed.data, sealed.metadata(tag)
        )
        seconds = (context.monotonic_ms() - started) / 1000
        context.metrics.store_put_seconds.labels(result.value).observe(seconds)
        context.metrics.segment_bytes.observe(len(sealed.data))
        return result

    async def _read_back(self, sealed: Sealed) -> None:
        stored = await self._context.store.get(str(sealed.name))
        if stored != sealed.data:
            raise StoreError(
                f"{sealed.name} reads back other bytes than were stored",
                hint="the store lies or is failing: stop the fleet, check the medium",
            )

    async def _hold(self, builder: SegmentBuilder, sealed: Sealed) -> None:
        """Set the legal hold of a segment with a held record, before it counts as stored.

        A hold must never keep a segment from being stored: its retention protects it meanwhile,
        and who enforces holds makes up for what this identity may not, or a crash left out.
        """
        context = self._context
        held_by = await asyncio.to_thread(context.held, sealed, lambda: builder.body)
        if not held_by:
            return
        name = str(sealed.name)
        try:
            await context.store.set_hold(name, True)
        except StoreError as error:
            log.warning("%s is held by %s, later: %s", name, ", ".join(held_by), error)

    async def _apply(self, sealed: Sealed) -> None:
        lane, header = self.lane, sealed.header
        pairs = self._table.form.changes_of(header, sealed.leaf, sealed.states)
        offset = await self._step("changelog", self._changelog.write(lane.partition, pairs))
        if not lane.live:
            return  # the changelog has it; local state is folded on the next assignment
        self._context.hook("table", "before")
        self._table.commit_batch(lane.partition, pairs, offset)
        self._context.hook("table", "after")
        lane.link = sealed.link
        lane.last_ts = header.last_ts or lane.last_ts
        lane.stored(sealed.states)
        self._void = ()
        self._context.hook("ack", "before")
        self._ack(lane, header.next)
        self._context.hook("ack", "after")

    def _measure(self, sealed: Sealed) -> None:
        metrics, header = self._context.metrics, sealed.header
        metrics.records_archived_total.labels(header.topic).inc(header.count)
        if header.first_ts is not None and header.last_ts is not None:
            now = self._context.wall_ms()
            delay = metrics.archive_delay_seconds.labels(header.topic)
            delay.observe(max(0, now - header.first_ts) / 1000)
            delay.observe(max(0, now - header.last_ts) / 1000)
            metrics.last_archived_timestamp_seconds.labels(header.topic, str(header.partition)).set(
                header.last_ts / 1000
            )

    # -- somebody else won the name

    async def _meet_winner(self, builder: SegmentBuilder, sealed: Sealed) -> None:
        """Void junk and try the next name, or compare with the winner and start again."""
        found = await self._chain.at(builder.base)
        if isinstance(found, Free):
            self._void = found.void
            await self._store(builder)
            return
        if isinstance(found, Ended):
            raise await self._chain.why_ended()
        check_continues(found.segment, self.lane.link, str(found.name))
        self._compare(sealed, found.segment, str(found.name))
        raise Overtaken(str(found.name))

    def _compare(self, mine: Sealed, theirs: Segment, name: str) -> None:
        """`ForkAlarm` unless both have the same lines where their ranges overlap."""
        header = theirs.header
        if _explained_by(header) != _explained_by(mine.header):
            return  # another map, epoch or form of records explains any difference
        until = min(mine.header.next, header.next)
        ours = _lines_below(decode(mine.data, name), until)
        if ours != _lines_below(theirs, until):
            self._context.metrics.forks_total.labels(header.topic).inc()
            raise ForkAlarm(
                f"{name} holds other record lines than this worker derived from the same offsets",
                hint="stop the fleet and read docs/runbooks/fork.md",
            )


def _explained_by(header: Header) -> tuple[str, int, str]:
    return header.status_map, header.key_epoch, header.record


def _lines_below(segment: Segment, until: int) -> list[bytes]:
    header = segment.header
    runs = ledger.decode(header.ledger, header.next - header.base)
    pairs = zip(ledger.archived_offsets(runs, header.base), segment.record_lines(), strict=True)
    return [line for offset, line in pairs if offset < until]

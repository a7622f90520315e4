"""Batch transport: one Faust event is one fetched batch of one partition.

Faust keeps the group, assignment, recovery, commit loop and agents. Overridden are the places where
stock Faust works record by record, or loses records (docs/explanation/faust.md): fetching, acks and
committable offsets, dropping work on a rebalance, and where reading starts after an assignment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from audit_stream.kafka.batches import holes_of
from audit_stream.kafka.losses import Losses
from audit_stream.stream.fetched import BatchThread

#: What a record takes beside its value: the client's object, its key, headers and places in lists;
#: once decided, less of it is kept. Counted too low, the budget is passed unseen.
_RECORD_BYTES = 300


class BatchMessage(ConsumerMessage):  # type: ignore[misc]
    """Records of one partition covering the offsets [base, next_offset)."""

    __slots__ = ("base", "epoch", "next_offset", "records", "size")
    use_tracking = True
    base: int
    epoch: int  # of the partition's seeks, when it was fetched
    next_offset: int
    records: list[Any]
    size: int  # bytes in memory, roughly

    def holes(self) -> set[tuple[int, int]]:
        """Ranges [from, to) of covered offsets without a record."""
        return holes_of(self.records, self.base, self.next_offset)


class BatchConsumer(driver.Consumer):  # type: ignore[misc]
    """Consumer whose unit is the batch; see the module docstring."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Next offset to be delivered, per partition: what a batch is measured against.
        self.expected: dict[TP, int] = {}
        #: Bumped by every seek: batches fetched before it are stale.
        self.epochs: dict[TP, int] = {}
        #: Partitions stopped for good (until restart) and the switch that pauses all raw ones.
        self.halted: set[TP] = set()
        self.throttled: Callable[[], bool] = lambda: False
        self.polled: Callable[[], None] = lambda: None
        #: Told the static member's name once another process has joined under it.
        self.fenced: Callable[[str], None] = lambda name: None
        #: Where reading starts after an assignment; set by the pipeline.
        self.find_positions: Callable[[set[TP]], Awaitable[Mapping[TP, int]]] | None = None
        #: The same for partitions that are not archived (rekey sources).
        self.other_positions: Callable[[set[TP]], Awaitable[Mapping[TP, int]]] | None = None
        #: What is committed with the offset of a rekey source.
        self.losses: dict[TP, Losses] = {}
        self.drop_work: Callable[[], None] = lambda: None
        self.in_flight_bytes = 0
        self._in_flight: dict[TP, deque[BatchMessage]] = {}
        self._done: dict[TP, int] = {}
        self._seeking = False

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    # -- fetching

    def _fetchable(self) -> set[TP]:
        active = set(self._get_active_partitions()) - self.halted
        if self._seeking or self.throttled():
            return {tp for tp in active if self._is_changelog_tp(tp)}
        return active

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, BatchMessage]]:
        """Yield one message per fetched partition; stock `_drain_messages` delivers them."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        generation = self.app.consumer_generation_id
        self.not_waiting_next_records.clear()
        try:
            fetched = await self._getmany(active_partitions=self._fetchable(), timeout=timeout)
        finally:
            self.not_waiting_next_records.set()
        for tp, (records, start, position) in (fetched or {}).items():
            if self.should_stop or self._seeking or not self.flow_active:
                return  # what is dropped is fetched again: the next answer tells that it is missing
            if generation != self.app.consumer_generation_id:
                return
            expected = self.expected.get(tp)
            if expected is not None and start != expected < position:
                await self._thread.seek_wait({tp: expected})  # what was given out before is good
                continue
            message = self._to_batch(tp, records, position, generation)
            if message is not None:
                yield tp, message

    def _to_batch(
        self, tp: TP, records: list[Any], position: int, generation: int
    ) -> BatchMessage | None:
        expected = self.expected.get(tp)
        changelog = self._is_changelog_tp(tp)
        if expected is None:
            return None  # not positioned yet: an answer from before the seek
        if records and records[0].offset < expected:
            records = [record for record in records if record.offset >= expected]
        if position <= expected:
            return None
        self.expected[tp] = position
        self._read_offset[tp] = None  # keeps Faust's own gap list out of it
        message = self._message(tp, records, position, generation, expected, changelog)
        if not changelog:
            self._in_flight.setdefault(tp, deque()).append(message)
            self.in_flight_bytes += message.size
        return message

    def _message(
        self, tp: TP, records: list[Any], position: int, generation: int, base: int,
        changelog: bool,
    ) -> BatchMessage:  # fmt: skip
        # Recovery compares offsets with the high watermark, which counts transaction markers too.
        offset = position - 1 if changelog else base
        stamp = records[-1].timestamp / 1000.0 if records else 0.0
        message = BatchMessage(
            tp.topic, tp.partition, offset, stamp, 0, [], None, b"", None, 0, 0, tp,
            generation_id=generation,
        )  # fmt: skip
        message.records = records
        message.base = base
        message.next_offset = position
        message.epoch = self.epochs.get(tp, 0)
        values = sum([len(record.value or b"") for record in records])
        message.size = values + _RECORD_BYTES * len(records)
        return message

    # -- acks and commits

    def ack(self, message: BatchMessage) -> bool:
        """Mark a batch as done; what is committable is the end of the done prefix."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        if message.generation_id != self.app.consumer_generation_id:
            return False
        queue = self._in_flight.get(message.tp)
        while queue and queue[0].acked:
            first = queue.popleft()
            self._done[first.tp] = first.next_offset
            self.in_flight_bytes -= first.size
            self._n_acked += len(first.records)
        return True

    def ack_until(self, tp: TP, offset: int) -> None:
        """Ack the batches that end at or below `offset`: all their offsets are stored."""
        for message in list(self._in_flight.get(tp, ())):
            if message.next_offset > offset:
                break
            self.ack(message)

    def done(self, tp: TP, offset: int) -> None:
        """Everything below `offset` is done, though no batch was acked: to be committed."""
        self._done[tp] = offset

    async def committed(self, tps: Iterable[TP]) -> Mapping[TP, Any]:
        """Offset and text that the group committed, of the partitions that have one."""
        found: Mapping[TP, Any] = await self._thread.committed(tps)
        return found

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        for tp in list(self._done):
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        return self._done.get(tp)

    async def _commit_offsets(self, offsets: Mapping[TP, int], **kwargs: Any) -> bool:
        """As stock, but a commit that failed leaves everything as it was, to be tried again."""
        before = {tp: self._committed_offset[tp] for tp in offsets}
        committed: bool = await super()._commit_offsets(offsets, **kwargs)
        if committed:
            for tp, offset in offsets.items():
                if self._done.get(tp) == offset:
                    del self._done[tp]
        else:
            self._committed_offset.update(before)
        return committed

    # -- rebalance

    async def wait_empty(self) -> None:
        """Commit what is done and let the rest go: a rebalance never waits for the store."""
        self.drop_work()
        await self.commit()
        self.forget(list(self._in_flight))

    def forget(self, tps: Iterable[TP]) -> None:
        """Drop the in-flight batches of partitions; they leave Faust's unacked set."""
        for tp in tps:
            for message in self._in_flight.pop(tp, ()):
                self._unacked_messages.discard(message)
                self.in_flight_bytes -= message.size
            self.epochs[tp] = self.epochs.get(tp, 0) + 1
            self.expected.pop(tp, None)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """As stock; then forget everything: the next assignment seeks anew."""
        await super().on_partitions_revoked(revoked)
        self.forget(set(self._in_flight) | set(self.expected))
        self._done.clear()
        self.halted.clear()

    async def perform_seek(self) -> None:
        """After recovery: raw partitions go to the archive's end, whatever the group committed.

        Nothing is given out until the flow is resumed: stock Faust clears all queues then, and what
        had come into them since the seek would be missing until the next assignment.
        """
        self._seeking = True
        assigned = {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}
        if self.find_positions is None or not assigned:
            return
        self.forget(assigned)
        positions = dict(await self.find_positions(assigned))
        if self.other_positions is not None:
            others = {tp for tp in assigned - set(positions) if tp not in self.halted}
            positions.update(await self.other_positions(others))
        self.halted = assigned - set(positions)
        await self.reseek(positions)

    def resume_flow(self) -> None:
        """As stock, right after the queues were cleared."""
        self._seeking = False
        super().resume_flow()

    async def reseek(self, positions: Mapping[TP, int]) -> None:
        """Go to offsets; what is in flight for these partitions is stale from now on."""
        if not positions:
            return
        self.forget(positions)
        await self._thread.seek_wait(positions)
        for tp, offset in positions.items():
            self._read_offset[tp] = None
            self._committed_offset[tp] = None
            self.expected[tp] = offset

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """As stock (changelogs, at recovery), and remember where the next batch begins."""
        await super().seek_wait(partitions)
        for tp, offset in partitions.items():
            self.expected[tp] = offset
            self._read_offset[tp] = None

    def _is_changelog_tp(self, tp: TP) -> bool:
        return tp.topic in self.app.tables.changelog_topics

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Off: the stock check compares two clocks; `stream.process` watches progress instead."""


class IdempotentProducer(driver.Producer):  # type: ignore[misc]
    """Faust's producer with acks from all replicas and no duplicates by retries."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class BatchTransport(driver.Transport):  # type: ignore[misc]
    """Transport with the batch consumer."""

    Consumer = BatchConsumer
    Producer = IdempotentProducer


class BatchSchema(faust.Schema):  # type: ignore[misc]
    """Decodes nothing: no decode error can skip a record."""

    def compile(self, app: Any, **_: Any) -> Any:
        """Return the decoder: the event's value is the batch message itself."""

        async def decode(message: BatchMessage, *, propagate: bool = False) -> Any:
            return app.create_event(None, message, None, message)

        return decode

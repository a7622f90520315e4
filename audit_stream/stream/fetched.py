"""Faust's consumer thread, answering with whole batches.

A result that comes in while the client waits for one is given out record by record by the client
itself, so callers meet both its kind of record and the parser's (`kafka.batches`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from audit_stream.kafka.batches import take_whole_batches
from audit_stream.kafka.header_names import read_any_header_name
from audit_stream.stream.membership import NameGuard
from audit_stream.stream.process import is_cancelled
from audit_stream.telemetry.discreet import where

log = logging.getLogger(__name__)

#: The broker answers a fetch that finds nothing after this long. Faust's 1500 ms would stall busy
#: partitions: there is one fetch in flight per broker.
FETCH_MAX_WAIT_MS = 200


#: Longer than a rebalance, which a JoinGroup request waits for; then the connection is given up.
REQUEST_TIMEOUT_MS = 90_000
#: The client asks for a partition's end for as long as it has no leader. The thread has two workers
#: for all that is asked of it, fetching included.
ENDS_SECONDS = 8.0


def _set(target: object, name: str, value: int) -> None:
    """Set a client's private option; an error, not silence, when a release renamed it."""
    if not hasattr(target, name):
        raise AttributeError(f"{type(target).__name__} has no {name} any more")
    setattr(target, name, value)


class Fetched(NamedTuple):
    """What one fetch gives of a partition: all there is of the offsets [start, position).

    An answer can be dropped on its way, by a rebalance for one. The client's position has moved
    nevertheless, and what is fetched next begins behind it: `start` tells, whatever the records.
    """

    records: list[Any]
    start: int  # position before
    position: int  # position after


class BatchThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread, answering with whole batches and the positions around them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: Behind what was answered last, or where a seek went: where the next answer begins.
        self._answered: dict[TP, int] = {}

    async def on_start(self) -> None:
        """As stock, and watch whose the member's name is."""
        await super().on_start()
        coordinator = self._ensure_consumer()._coordinator  # made by its start
        NameGuard.watch(coordinator, self.consumer.fenced)

    async def on_thread_stop(self) -> None:
        """As stock; but what the client fails at must not keep the rest of the stop from its end.

        Seen of aiokafka 0.14: closed while it connects, or while partitions are assigned, whose
        task ends as cancelled then. Its connections end with the process.
        """
        try:
            await super().on_thread_stop()
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled():
                raise
            log.warning("the consumer's client did not close: %s at %s",
                        type(error).__name__, where(error))  # fmt: skip

    def _create_worker_consumer(self, transport: Any) -> Any:
        read_any_header_name()
        consumer = super()._create_worker_consumer(transport)
        _set(consumer, "_fetch_max_wait_ms", FETCH_MAX_WAIT_MS)
        # Faust bounds a resync by the same setting, which must be long; a request must not be.
        _set(consumer._client, "_request_timeout_ms", REQUEST_TIMEOUT_MS)
        # Aborted transactions of a fenced worker must not reach the table, nor a producer's
        # aborted statuses the archive. The fetcher is made from this at start.
        consumer._isolation_level = "read_committed"
        consumer.commit = partial(self._commit_with_losses, consumer.commit)
        return consumer

    async def _commit_with_losses(
        self, commit: Callable[[Any], Awaitable[None]], offsets: Mapping[Any, Any]
    ) -> None:
        losses = self.consumer.losses
        await commit({
            tp: committed if TP(*tp) not in losses
            else OffsetAndMetadata(committed.offset, losses[TP(*tp)].text)
            for tp, committed in offsets.items()
        })  # fmt: skip

    async def committed(self, tps: Iterable[TP]) -> dict[TP, OffsetAndMetadata]:
        """What the group committed of these partitions, where it has."""
        coordinator = self._ensure_consumer()._coordinator
        wanted = [TopicPartition(*tp) for tp in tps]
        found = await self.call_thread(coordinator.fetch_committed_offsets, wanted)
        return {TP(*tp): committed for tp, committed in found.items() if committed.offset >= 0}

    async def _fetch_records(
        self, consumer: Any, active_partitions: Any, timeout: float | None = None,
        max_records: int | None = None,
    ) -> dict[TP, Fetched]:  # fmt: skip
        subscriptions = consumer._fetcher._subscriptions
        if not active_partitions:  # paused: keep polling, or the group would expel us
            with subscriptions.fetch_context():
                await asyncio.sleep(min(timeout or 0.1, 0.1))
            self.consumer.polled()  # waiting for a store that is away is no stall
            return {}
        take_whole_batches(consumer._fetcher._records.values())
        found = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        self.consumer.polled()
        assignment = subscriptions.subscription and subscriptions.subscription.assignment
        if assignment is None:
            return {}
        # Read here, in the consumer's own thread: between fetch and position nothing can run.
        fetched = {
            TP(*tp): self._answer(TP(*tp), records, assignment.state_value(tp).position)
            for tp, records in found.items()
            if assignment.state_value(tp) is not None
        }
        for tp in active_partitions:  # positions that moved without a record: markers at the tail
            state = assignment.state_value(tp) if tp not in fetched else None
            if state is not None and state.has_valid_position:
                expected = self.consumer.expected.get(tp)
                if expected is not None and state.position > expected:
                    fetched[tp] = self._answer(tp, [], state.position)
        return fetched

    def _answer(self, tp: TP, records: list[Any], position: int) -> Fetched:
        start = self._answered.get(tp, -1)  # of a partition without a seek nothing is given out
        self._answered[tp] = position
        return Fetched(records, start, position)

    async def _highwaters(self, partitions: Any) -> Any:
        """As stock, or `TimeoutError`."""
        async with asyncio.timeout(ENDS_SECONDS):
            return await super()._highwaters(partitions)

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        """As stock, whose seeks are done before its first await."""
        self._answered.update(partitions)
        await super()._seek_wait(consumer, partitions)

"""Faust's consumer thread, and taking fetched records out of aiokafka a broker batch at a time.

The client yields them one by one through two generators and copies each into a dataclass; that is a
tenth of a worker's time. The parser's records have offset, timestamp, key, value and headers, and
no topic or partition: those are the batch's. A result that comes in while the client waits for one
is still given out record by record, so callers meet both kinds.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

#: The broker answers a fetch that finds nothing after this long. Faust's 1500 ms would stall busy
#: partitions: there is one fetch in flight per broker.
FETCH_MAX_WAIT_MS = 200


#: Longer than a rebalance, which a JoinGroup request waits for; then the connection is given up.
REQUEST_TIMEOUT_MS = 90_000


def _set(target: object, name: str, value: int) -> None:
    """Set a client's private option; an error, not silence, when a release renamed it."""
    if not hasattr(target, name):
        raise AttributeError(f"{type(target).__name__} has no {name} any more")
    setattr(target, name, value)


Fetched = tuple[list[Any], int]  # records, position after them


class BatchThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread, answering with whole batches and the position behind them."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        _set(consumer, "_fetch_max_wait_ms", FETCH_MAX_WAIT_MS)
        # Faust bounds a resync by the same setting, which must be long; a request must not be.
        _set(consumer._client, "_request_timeout_ms", REQUEST_TIMEOUT_MS)
        # Aborted transactions of a fenced worker must not reach the table, nor a producer's
        # aborted statuses the archive. The fetcher is made from this at start.
        consumer._isolation_level = "read_committed"
        return consumer

    async def _fetch_records(
        self, consumer: Any, active_partitions: Any, timeout: float | None = None,
        max_records: int | None = None,
    ) -> dict[TP, Fetched]:  # fmt: skip
        subscriptions = consumer._fetcher._subscriptions
        if not active_partitions:  # paused: keep polling, or the group would expel us
            with subscriptions.fetch_context():
                await asyncio.sleep(min(timeout or 0.1, 0.1))
            return {}
        take_whole_batches(consumer._fetcher._records.values())
        found = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        self.consumer.polled()
        assignment = subscriptions.subscription and subscriptions.subscription.assignment
        if assignment is None:
            return {}
        # Read here, in the consumer's own thread: between fetch and position nothing can run.
        fetched = {
            TP(*tp): (records, assignment.state_value(tp).position)
            for tp, records in found.items()
            if assignment.state_value(tp) is not None
        }
        for tp in active_partitions:  # positions that moved without a record: markers at the tail
            state = assignment.state_value(tp) if tp not in fetched else None
            if state is not None and state.has_valid_position:
                expected = self.consumer.expected.get(tp)
                if expected is not None and state.position > expected:
                    fetched[tp] = ([], state.position)
        return fetched


def take_whole_batches(results: Any) -> None:
    """Let every fetch result that waits in the client answer by `_take_all`."""
    for result in results:
        if hasattr(result, "_partition_records"):  # errors have none
            result.getall = partial(_take_all, result)


def _take_all(result: Any, max_records: int | None = None) -> list[Any]:
    """As `FetchResult.getall`; a result is taken as a whole, whatever `max_records`."""
    if not result.check_assignment(result._topic_partition) or not result.has_more():
        return []
    if max_records is not None:
        raise ValueError("records are taken as fetched: leave consumer_max_poll_records unset")
    fetched = result._partition_records
    records = _unpack(fetched)
    result._update_position()
    # Both would keep the fetched megabytes alive until the garbage collector finds the cycle.
    fetched._records_iterator = None
    result._partition_records = None
    del result.getall
    return records


def _unpack(fetched: Any) -> list[Any]:
    """The records of a partition's fetch, as `PartitionRecords._unpack_records` gives them."""
    found: list[Any] = []
    while fetched._records.has_next():
        batch = fetched._records.next_batch()
        if fetched._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {fetched._tp}")
        if not _is_aborted(fetched, batch) and not batch.is_control_batch:
            records = list(batch)
            if records and records[0].offset < fetched.next_fetch_offset:
                records = [each for each in records if each.offset >= fetched.next_fetch_offset]
            found += records
        # The batch keeps its last offset when compaction removed the last record.
        fetched.next_fetch_offset = max(fetched.next_fetch_offset, batch.next_offset)
    return found


def _is_aborted(fetched: Any, batch: Any) -> bool:
    """Whether the batch belongs to an aborted transaction (as the client decides it)."""
    if fetched._isolation_level != READ_COMMITTED or batch.producer_id is None:
        return False
    fetched._consume_aborted_up_to(batch.base_offset)
    if batch.is_control_batch and fetched._contains_abort_marker(batch):
        fetched._aborted_producers.discard(batch.producer_id)
    return bool(batch.is_transactional and batch.producer_id in fetched._aborted_producers)

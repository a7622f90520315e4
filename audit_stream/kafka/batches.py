"""Taking fetched records out of aiokafka a broker batch at a time.

The client yields them one by one through two generators and copies each into a dataclass; that is a
tenth of a worker's time. The parser's records have offset, timestamp, key, value and headers, and
no topic or partition: those are the batch's.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException

from audit_stream.kafka.header_names import reread


def holes_of(records: Iterable[Any], base: int, until: int) -> set[tuple[int, int]]:
    """Ranges [from, to) of the offsets [base, until) without a record."""
    holes, expected = set(), base
    for record in records:
        if record.offset != expected:
            holes.add((expected, record.offset))
        expected = record.offset + 1
    if expected != until:
        holes.add((expected, until))
    return holes


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
            try:
                records = list(batch)
            except (UnicodeDecodeError, CorruptRecordException) as error:
                records, _ = reread(error, fetched)
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

"""Records taken by the batch are the ones the client itself would give out one by one."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import (
    READ_COMMITTED,
    READ_UNCOMMITTED,
    FetchResult,
    PartitionRecords,
)
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from audit_stream.kafka.batches import take_whole_batches

TP = TopicPartition("raw", 0)
_ATTRIBUTES = 21  # where a batch has them (KIP-98): 0x10 transactional, 0x20 control
_ABORT, _COMMIT = struct.pack(">hh", 0, 0), struct.pack(">hh", 0, 1)


def batch(base: int, *keys: bytes, producer: int = -1, control: bool = False) -> bytes:
    transactional = int(producer >= 0)
    builder = DefaultRecordBatchBuilder(2, 0, transactional, producer, 0, 0, 1 << 20)
    for number, key in enumerate(keys):
        builder.append(number, 1_000 + number, key, b"value", [("h", b"1")])
    data = bytearray(builder.build())
    data[0:8] = struct.pack(">q", base)
    if control:
        data[_ATTRIBUTES + 1] |= 0x20
    return bytes(data)


ONE_ABORTED = b"".join((
    batch(0, b"a", b"b"), batch(2, b"aborted", producer=7), batch(3, b"kept", producer=8),
    batch(4, _ABORT, producer=7, control=True), batch(5, _COMMIT, producer=8, control=True),
    batch(6, b"again", producer=7), batch(7, _COMMIT, producer=7, control=True),
))  # fmt: skip


def fetched(data: bytes, at: int, isolation: int, check_crcs: bool = False) -> PartitionRecords:
    return PartitionRecords(
        TP, MemoryRecords(data), [(7, 2)], at, None, None, check_crcs, isolation
    )


class Result(FetchResult):  # type: ignore[misc]
    """A fetch result that is still wanted; remembers where it brought the position."""

    def __init__(self, records: PartitionRecords, wanted: bool = True) -> None:
        state = SimpleNamespace(consumed_to=self.moved)
        super().__init__(
            TP, assignment=SimpleNamespace(state_value=lambda _: state), partition_records=records,
            backoff=0,
        )  # fmt: skip
        self.wanted, self.position = wanted, -1

    def moved(self, position: int) -> None:
        self.position = position

    def check_assignment(self, tp: TopicPartition) -> bool:
        return self.wanted


def fields(records: list[Any]) -> list[tuple[Any, ...]]:
    return [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in records]


@pytest.mark.parametrize("isolation", [READ_COMMITTED, READ_UNCOMMITTED])
@pytest.mark.parametrize("at", [0, 1])  # a broker begins with the batch that holds the offset
def test_the_same_records_and_the_same_position(isolation: int, at: int) -> None:
    stock, ours = (Result(fetched(ONE_ABORTED, at, isolation)) for _ in range(2))
    expected = stock.getall()
    take_whole_batches([ours])
    assert fields(ours.getall()) == fields(expected)
    assert ours.position == stock.position
    assert not ours.has_more()
    assert ours.getall() == []


@pytest.mark.parametrize("at", [2, 3, 6, 8])
def test_nothing_below_the_position_is_given_out(at: int) -> None:
    ours = Result(fetched(ONE_ABORTED, at, READ_COMMITTED))
    take_whole_batches([ours])
    assert [r.offset for r in ours.getall()] == [n for n in (0, 1, 3, 6) if n >= at]
    assert ours.position == 8


def test_an_aborted_transaction_is_not_given_out() -> None:
    ours = Result(fetched(ONE_ABORTED, 0, READ_COMMITTED))
    take_whole_batches([ours])
    assert [record.key for record in ours.getall()] == [b"a", b"b", b"kept", b"again"]
    assert ours.position == 8


def test_a_result_nobody_wants_any_more_gives_nothing() -> None:
    ours = Result(fetched(ONE_ABORTED, 0, READ_COMMITTED), wanted=False)
    take_whole_batches([ours])
    assert ours.getall() == []
    assert ours.position == -1


def test_a_damaged_batch_is_refused() -> None:
    data = bytearray(batch(0, b"a"))
    data[-1] ^= 1
    ours = Result(fetched(bytes(data), 0, READ_COMMITTED, check_crcs=True))
    take_whole_batches([ours])
    with pytest.raises(CorruptRecordException):
        ours.getall()


def test_errors_that_wait_are_left_alone() -> None:
    error = SimpleNamespace()
    take_whole_batches([error])
    assert not hasattr(error, "getall")

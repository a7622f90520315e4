"""A header's name that is not UTF-8 keeps nobody from reading its record, batch and log."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy

from audit_stream.kafka.batches import take_whole_batches
from audit_stream.kafka.header_names import KeptRecords, PartitionRecords, read_any_header_name
from tests.support.foreign import Latin1, foreign_builder
from tests.unit.kafka.test_batches import _ABORT, _ATTRIBUTES, _COMMIT, TP, Result, batch, fields

GZIP, LZ4 = 1, 3
_PRODUCER = 43  # where a batch has its producer's id (KIP-98)
NAME = Latin1("caf\xe9")


def foreign(base: int, compression: int = 0) -> bytes:
    builder = foreign_builder(compression)
    builder.append(0, 1_000, b"a", b"v" * 500, [("h", b"1"), ("n", None)])
    builder.append(1, 1_001, b"b", None, [("h", b"1"), (NAME, b"\xff"), ("last", b"2")])
    builder.append(2, 1_002, None, b"", [])
    return struct.pack(">q", base) + bytes(builder.build())[8:]


def result(records: KeptRecords, at: int = 0, check_crcs: bool = False) -> Result:
    return Result(PartitionRecords(TP, records, [], at, None, None, check_crcs, READ_COMMITTED))


EXPECTED = [
    (3, 1_000, b"a", b"v" * 500, (("h", b"1"), ("n", None))),
    (4, 1_001, b"b", None, (("h", b"1"), ("caf\\xe9", b"\xff"), ("last", b"2"))),
    (5, 1_002, None, b"", ()),
]


@pytest.mark.parametrize("compression", [0, GZIP, LZ4])
@pytest.mark.parametrize("whole", [True, False], ids=["by-the-batch", "by-the-record"])
def test_the_record_comes_and_so_do_its_neighbours(compression: int, whole: bool) -> None:
    data = batch(0, b"x", b"y", b"z") + foreign(3, compression) + batch(6, b"after")
    found = result(KeptRecords(data), check_crcs=True)
    if whole:
        take_whole_batches([found])
    records = found.getall()
    assert fields(records[3:6]) == EXPECTED
    assert [record.offset for record in records] == list(range(7))
    assert found.position == 7


@pytest.mark.parametrize("whole", [True, False], ids=["by-the-batch", "by-the-record"])
@pytest.mark.parametrize("at", [0, 1, 2])  # a broker begins with the batch that holds the offset
def test_each_such_batch_gives_what_is_not_below_the_position(whole: bool, at: int) -> None:
    data = foreign(0) + batch(3, b"a") + batch(4, _COMMIT, producer=9, control=True)
    data += foreign(5) + foreign(10) + batch(13, b"last")  # 8 and 9 were compacted away
    found = result(KeptRecords(data), at)
    if whole:
        take_whole_batches([found])
    offsets = [record.offset for record in found.getall()]
    assert offsets == [n for n in (0, 1, 2, 3, 5, 6, 7, 10, 11, 12, 13) if n >= at]
    assert found.position == 14


@pytest.mark.parametrize("whole", [True, False], ids=["by-the-batch", "by-the-record"])
def test_one_of_an_aborted_transaction_is_passed_over(whole: bool) -> None:
    aborted = bytearray(foreign(0))
    aborted[_ATTRIBUTES + 1] |= 0x10
    aborted[_PRODUCER : _PRODUCER + 8] = struct.pack(">q", 7)
    data = bytes(aborted) + batch(3, _ABORT, producer=7, control=True) + foreign(4)
    records = PartitionRecords(
        TP, KeptRecords(data), [(7, 0)], 0, None, None, False, READ_COMMITTED
    )
    found = Result(records)
    if whole:
        take_whole_batches([found])
    assert [record.offset for record in found.getall()] == [4, 5, 6]
    assert found.position == 7


class InPython(KeptRecords):
    """One batch, as it is read where nothing is compiled."""

    def next_batch(self) -> Any:
        super().next_batch()
        return _DefaultRecordBatchPy(self._data)


@pytest.mark.parametrize("whole", [True, False], ids=["by-the-batch", "by-the-record"])
def test_the_parser_in_python_is_helped_as_well(whole: bool) -> None:
    found = result(InPython(foreign(3)))
    if whole:
        take_whole_batches([found])
    assert fields(found.getall()) == EXPECTED


@pytest.mark.parametrize("whole", [True, False], ids=["by-the-batch", "by-the-record"])
@pytest.mark.parametrize("check_crcs", [True, False])
def test_what_is_damaged_is_still_refused(whole: bool, check_crcs: bool) -> None:
    data = bytearray(foreign(0))
    data[-1] ^= 1  # the number of headers
    found = result(KeptRecords(bytes(data)), check_crcs=check_crcs)
    if whole:
        take_whole_batches([found])
    with pytest.raises(CorruptRecordException):
        found.getall()


def test_the_client_has_the_name_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    before: Any = fetcher.MemoryRecords
    monkeypatch.setattr(fetcher, "MemoryRecords", before)
    monkeypatch.setattr(fetcher, "PartitionRecords", fetcher.PartitionRecords)
    read_any_header_name()
    assert fetcher.MemoryRecords is KeptRecords
    assert fetcher.PartitionRecords is PartitionRecords

"""A header's name that is not UTF-8 keeps nobody from reading its record, batch and log."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy

from audit_stream.kafka.batches import take_whole_batches
from audit_stream.kafka.header_names import AnyNames, _Batch, read_any_header_name
from tests.support.foreign import Latin1, foreign_builder
from tests.unit.kafka.test_batches import TP, Result, batch, fields

GZIP, LZ4 = 1, 3
NAME = Latin1("caf\xe9")


def foreign(base: int, compression: int = 0) -> bytes:
    builder = foreign_builder(compression)
    builder.append(0, 1_000, b"a", b"v" * 500, [("h", b"1"), ("n", None)])
    builder.append(1, 1_001, b"b", None, [("h", b"1"), (NAME, b"\xff"), ("last", b"2")])
    builder.append(2, 1_002, None, b"", [])
    return struct.pack(">q", base) + bytes(builder.build())[8:]


def result(data: bytes) -> Result:
    records = AnyNames(data)
    return Result(PartitionRecords(TP, records, [], 0, None, None, True, READ_COMMITTED))


EXPECTED = [
    (3, 1_000, b"a", b"v" * 500, (("h", b"1"), ("n", None))),
    (4, 1_001, b"b", None, (("h", b"1"), ("caf\\xe9", b"\xff"), ("last", b"2"))),
    (5, 1_002, None, b"", ()),
]


@pytest.mark.parametrize("compression", [0, GZIP, LZ4])
@pytest.mark.parametrize("whole", [True, False], ids=["by-the-batch", "by-the-record"])
def test_the_record_comes_and_so_do_its_neighbours(compression: int, whole: bool) -> None:
    found = result(batch(0, b"x", b"y", b"z") + foreign(3, compression) + batch(6, b"after"))
    if whole:
        take_whole_batches([found])
    records = found.getall()
    assert fields(records[3:6]) == EXPECTED
    assert [record.offset for record in records] == list(range(7))
    assert found.position == 7


def test_the_parser_in_python_is_helped_as_well() -> None:
    data = memoryview(foreign(3))
    assert fields(list(_Batch(_DefaultRecordBatchPy(data), data))) == EXPECTED


def test_what_is_damaged_is_still_refused() -> None:
    data = bytearray(foreign(0))
    data[-1] ^= 1  # the number of headers
    with pytest.raises(CorruptRecordException):
        list(AnyNames(bytes(data)).next_batch())


def test_a_batch_that_was_cut_off_is_none() -> None:
    records = AnyNames(foreign(0)[:-1])
    assert not records.has_next()
    assert records.next_batch() is None


def test_the_client_has_the_name_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    before: Any = fetcher.MemoryRecords
    monkeypatch.setattr(fetcher, "MemoryRecords", before)
    read_any_header_name()
    assert fetcher.MemoryRecords is AnyNames

"""Reading records with a header whose name is not UTF-8.

Kafka takes them from any client that writes raw bytes; the consumer's parsers raise over the first,
and neither its batch nor anything behind it could ever be read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_HEAD = struct.Struct(">qi11xi")  # of a batch (KIP-98): base offset, length, last offset's delta
_BEFORE_LENGTH, _MAGIC_AT, _HAS_HEADERS = 12, 16, 2


def read_any_header_name() -> None:
    """Let all consumers of this process read them: the client takes its parser by these names."""
    fetcher.MemoryRecords, fetcher.PartitionRecords = KeptRecords, PartitionRecords


class KeptRecords(MemoryRecords):  # type: ignore[misc]
    """The batches of one answer; keeps the bytes, for those that its parser gives up."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data, self._at = data, 0

    def reread(self, offset: int) -> tuple[list[Any], int]:
        """From `offset` on, the records of the batch it is in, or before; the offset behind it.

        Once for each batch, in their order. `CorruptRecordException` when it is damaged, too.
        """
        data = self._data
        while self._at < len(data):
            at = self._at
            base, length, delta = _HEAD.unpack_from(data, at)
            self._at += _BEFORE_LENGTH + length
            if data[at + _MAGIC_AT] >= _HAS_HEADERS and base + delta >= offset:
                batch = _DefaultRecordBatchPy(memoryview(data)[at : self._at])
                batch._maybe_uncompress()
                batch._buffer = _Text(batch._buffer)
                return [record for record in batch if record.offset >= offset], batch.next_offset
        raise CorruptRecordException(f"no batch holds the offset {offset}")


class PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """As the client's, which yields record by record."""

    def _unpack_records(self) -> Iterator[Any]:
        while True:
            try:
                yield from super()._unpack_records()
                return
            except Exception as error:
                records, following = reread(error, self)
            for record in records:
                self.next_fetch_offset = record.offset + 1
                yield self._consumer_record(self._tp, record)
            self.next_fetch_offset = following


def reread(error: Exception, fetched: Any) -> tuple[list[Any], int]:
    """The records of the batch that was not read to its end, and the offset behind it.

    Raises `error` if that is not about a name: the parser in Python turns one into another error.
    """
    if not isinstance(error, UnicodeDecodeError) and not isinstance(
        error.__cause__, UnicodeDecodeError
    ):
        raise error
    found: tuple[list[Any], int] = fetched._records.reread(fetched.next_fetch_offset)
    return found


class _Text(bytearray):
    """Bytes that decode to some text whatever they are: ``caf\\xe9``, which is never our name."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Text(found) if isinstance(at, slice) else found

    def decode(self, *_: Any) -> str:
        return super().decode("utf-8", "backslashreplace")

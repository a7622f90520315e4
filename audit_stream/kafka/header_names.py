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

_LENGTH = struct.Struct(">8xi")  # how many bytes of a batch follow, behind its base offset


def read_any_header_name() -> None:
    """Let all consumers of this process read them: the client takes its parser by this name."""
    fetcher.MemoryRecords = AnyNames


class AnyNames(MemoryRecords):  # type: ignore[misc]
    """The batches of one answer, as the client's; keeps the bytes of those that it cannot read."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data, self._at = memoryview(data), 0

    def next_batch(self) -> Any:
        """As the client's."""
        batch, start = super().next_batch(), self._at
        if batch is None:
            return None
        self._at += _LENGTH.size + _LENGTH.unpack_from(self._data, start)[0]
        return _Batch(batch, self._data[start : self._at])


class _Batch:
    """A batch that is read again, more patiently, where the client's parser gives up."""

    __slots__ = ("_batch", "_data")

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch, self._data = batch, data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except (UnicodeDecodeError, CorruptRecordException):  # the parser in Python turns one into
            return iter(_read_patiently(self._data))  # the other; what is corrupt still is


def _read_patiently(data: memoryview) -> list[Any]:
    batch = _DefaultRecordBatchPy(data)
    batch._maybe_uncompress()
    batch._buffer = _Text(batch._buffer)
    return list(batch)


class _Text(bytearray):
    """Bytes that decode to some text whatever they are: ``caf\\xe9``, which is never our name."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Text(found) if isinstance(at, slice) else found

    def decode(self, *_: Any) -> str:
        return super().decode("utf-8", "backslashreplace")

"""Going through a raw log in order, in pieces that end where they are asked to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Protocol

from audit_stream.archive.ahead import ahead
from audit_stream.kafka.rawlog import RawBatch

_AHEAD = 2  # batches of some megabytes


class RawSource(Protocol):
    """A partition's raw log, as `kafka.rawlog.RawLog` gives it."""

    async def bounds(self) -> tuple[int, int]:
        """(log start, first offset that is not committed yet)."""
        ...

    def batches(self, start: int, end: int) -> AsyncIterator[RawBatch]:
        """Everything from `start` on until `end` is covered; the last batch may go beyond it."""
        ...


class RetentionOvertook(Exception):
    """The log lost offsets that were still to be read; its new start."""

    def __init__(self, log_start: int) -> None:
        super().__init__(log_start)
        self.log_start = log_start


class Cursor:
    """Reads `source` ahead up to the offset `end`; use it as a context."""

    def __init__(self, source: RawSource | None, end: int) -> None:
        self._source = source
        self._end = end
        self._stack = AsyncExitStack()
        self._batches: AsyncIterator[RawBatch] | None = None
        self._rest: RawBatch | None = None
        self._at = -1

    async def __aenter__(self) -> Cursor:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def read(self, start: int, until: int) -> AsyncIterator[RawBatch]:
        """The offsets [start, until) in pieces. `RetentionOvertook` when some are gone by now."""
        batches = await self._from(start)
        while self._at < until:
            batch = await anext(batches) if self._rest is None else self._rest
            self._rest = None
            if batch.base < batch.lost_before:
                self._at = -1
                raise RetentionOvertook(batch.lost_before)
            if batch.next > until:
                batch, self._rest = batch.split(until)
            self._at = batch.next
            yield batch

    async def _from(self, start: int) -> AsyncIterator[RawBatch]:
        if self._batches is None or self._at != start:
            await self._stack.aclose()
            self._rest, self._at = None, start
            assert self._source is not None
            source = self._source.batches(start, self._end)
            self._batches = await self._stack.enter_async_context(ahead(source, _AHEAD))
        return self._batches

"""Reading ahead, and a raw log in pieces that end where they are asked to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.archive.ahead import ahead
from audit_stream.kafka.rawlog import RawBatch
from audit_stream.replay.cursor import Cursor, RetentionOvertook
from tests.support.replaying import END, RECORDS, ListLog


async def collect(cursor: Cursor, start: int, until: int) -> list[RawBatch]:
    return [batch async for batch in cursor.read(start, until)]


@given(
    st.integers(1, 90), st.lists(st.integers(0, END), min_size=2, max_size=6, unique=True),
    st.sets(st.integers(0, END - 2)),
)  # fmt: skip
def test_pieces_tile_what_is_asked_for(size: int, cuts: list[int], holes: set[int]) -> None:
    cuts.sort()
    records = [record for record in RECORDS if record.offset not in holes]

    async def read() -> list[list[RawBatch]]:
        async with Cursor(ListLog(records, size=size), END) as cursor:
            return [await collect(cursor, *pair) for pair in pairwise(cuts)]

    for (start, until), pieces in zip(pairwise(cuts), asyncio.run(read()), strict=True):
        assert [piece.base for piece in pieces] == [start, *(p.next for p in pieces[:-1])]
        assert pieces[-1].next == until
        offsets = [record.offset for piece in pieces for record in piece.records]
        assert offsets == [r.offset for r in records if start <= r.offset < until]


async def test_it_goes_back_and_over_gaps() -> None:
    async with Cursor(ListLog(size=30), END) as cursor:
        assert (await collect(cursor, 100, 140))[0].base == 100
        assert (await collect(cursor, 10, 20))[0].base == 10
        assert (await collect(cursor, 200, 210))[-1].next == 210


async def test_what_retention_took_is_told() -> None:
    async with Cursor(ListLog(size=30, loses={60: 100}), END) as cursor:
        with pytest.raises(RetentionOvertook) as overtook:
            await collect(cursor, 0, 120)
        assert overtook.value.log_start == 100
        assert (await collect(cursor, 100, 120))[0].base == 100


async def test_reading_ahead_is_bounded_and_ends_with_its_block() -> None:
    given_out, closed = 0, asyncio.Event()

    async def source() -> AsyncIterator[int]:
        nonlocal given_out
        try:
            while True:
                given_out += 1
                yield given_out
        finally:
            closed.set()

    async with ahead(source(), 2) as items:
        assert await anext(items) == 1
        for _ in range(10):
            await asyncio.sleep(0)
        assert given_out <= 1 + 2 + 1  # taken, held ready, in the pump's hand
    await asyncio.wait_for(closed.wait(), 5)


async def test_an_error_comes_where_it_stands() -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        raise ValueError("broken")

    async with ahead(source(), 2) as items:
        assert await anext(items) == 1
        with pytest.raises(ValueError, match="broken"):
            await anext(items)

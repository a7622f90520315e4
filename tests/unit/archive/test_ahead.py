"""Several at work at once: in order, never too many, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from audit_stream.archive.ahead import in_flight


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


class Work:
    """Ends when it is told, and counts who is at it."""

    def __init__(self, *, last_first: bool = False) -> None:
        self.now = self.most = self.begun = self.cancelled = 0
        self.gates: list[asyncio.Event] = []
        self.last_first = last_first

    async def __call__(self, number: int) -> int:
        self.now, self.begun = self.now + 1, self.begun + 1
        self.most = max(self.most, self.now)
        gate = asyncio.Event()
        self.gates.append(gate)
        try:
            if self.last_first and len(self.gates) % 4 == 0:
                for each in reversed(self.gates):
                    each.set()
            elif self.last_first:
                await gate.wait()
            return number * number
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.now -= 1


async def test_answers_keep_the_order_of_the_items_whoever_ends_first() -> None:
    work = Work(last_first=True)
    found = [each async for each in in_flight(numbers(20), work, 4)]
    assert found == [number * number for number in range(20)]
    assert work.most == 4


async def test_fewer_items_than_places_and_none_at_all() -> None:
    assert [each async for each in in_flight(numbers(3), Work(), 8)] == [0, 1, 4]
    assert [each async for each in in_flight(numbers(0), Work(), 8)] == []


async def test_an_error_of_the_work_is_ours_at_its_place() -> None:
    async def work(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    found: list[int] = []

    async def take_all() -> None:
        async for each in in_flight(numbers(9), work, 4):
            found.append(each)

    with pytest.raises(ValueError, match="two"):
        await take_all()
    assert found == [0, 1]


async def test_who_leaves_early_leaves_nothing_at_work() -> None:
    work = Work()
    block = asyncio.Event()

    async def waiting(number: int) -> int:
        await work(number)
        if number:
            try:
                await block.wait()
            except asyncio.CancelledError:
                work.cancelled += 1
                raise
        return number

    async with aclosing(in_flight(numbers(9), waiting, 4)) as answers:
        async for each in answers:
            assert each == 0
            break
    assert work.cancelled == work.begun - 1 == 3

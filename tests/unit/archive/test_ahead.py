"""Several at work at once: in order, never too many, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from audit_stream.archive.ahead import Expected, in_flight


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


class Shelf:
    """Objects, who is asking for them now, and what was asked."""

    def __init__(self, *names: str, broken: str = "") -> None:
        self.names, self.broken = names, broken
        self.asked: list[str] = []
        self.go = asyncio.Event()

    async def get(self, name: str) -> bytes | None:
        self.asked.append(name)
        await self.go.wait()
        if name == self.broken:
            raise OSError(name)
        return name.encode() if name in self.names else None


async def test_what_is_expected_is_fetched_before_it_is_asked_for() -> None:
    shelf = Shelf(*"abcdef")
    expected = Expected(shelf.get, 3)
    expected.expect("abcdef")
    await asyncio.sleep(0)
    assert shelf.asked == ["a", "b", "c"]
    shelf.go.set()
    assert [await expected.get(name) for name in "abcdef"] == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert shelf.asked == list("abcdef")  # each once
    assert expected.left == 0


async def test_what_is_not_expected_is_asked_for_all_the_same() -> None:
    shelf = Shelf("a", "b", "x")
    shelf.go.set()
    expected = Expected(shelf.get, 2)
    expected.expect(["a", "b"])
    assert await expected.get("x") == b"x"
    assert await expected.get("none") is None
    assert await expected.get("b") == b"b"  # nobody asked for a
    assert expected.left == 0


async def test_what_stood_nowhere_when_it_was_expected_is_asked_for_again() -> None:
    shelf = Shelf()
    shelf.go.set()
    expected = Expected(shelf.get, 2)
    expected.expect(["late"])
    await asyncio.sleep(0)
    shelf.names = ("late",)
    assert await expected.get("late") == b"late"


async def test_an_error_is_the_askers() -> None:
    shelf = Shelf("a", "b", broken="b")
    shelf.go.set()
    expected = Expected(shelf.get, 2)
    expected.expect(["a", "b"])
    assert await expected.get("a") == b"a"
    with pytest.raises(OSError, match="b"):
        await expected.get("b")


async def test_what_is_dropped_is_not_fetched_to_its_end() -> None:
    shelf = Shelf(*"abc")
    expected = Expected(shelf.get, 2)
    expected.expect("abc")
    await asyncio.sleep(0)
    expected.drop()
    await asyncio.sleep(0)
    assert expected.left == 0
    assert len(asyncio.all_tasks()) == 1  # this one

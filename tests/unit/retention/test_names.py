"""Names in order, a few at a time: the same ones as a whole listing has, with fewer requests."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from audit_stream.retention import names as names_module
from audit_stream.retention.names import Ascending, at_bases

FOLDER = "segments/t/00001/00000/"


def at(base: int, attempt: str = "") -> str:
    return f"{FOLDER}{base:020d}{attempt}.ndjson.gz"


@dataclass
class Lists:
    """Names, and how often they were asked for."""

    all: list[str]
    asked: list[int | None] = field(default_factory=list)

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        self.asked.append(limit)
        return [name for name in sorted(self.all) if name.startswith(prefix) and name > after][
            :limit
        ]


async def between(lists: list[Lists], base: int, end: int) -> list[str]:
    return [name async for name in at_bases([Ascending(each, FOLDER) for each in lists], base, end)]


async def test_what_stands_behind_is_found_with_one_name() -> None:
    lists = Lists([at(base) for base in range(5_000, 9_000)])
    ascending = Ascending(lists, FOLDER)
    for base in range(0, 5_000, 10):
        assert not await ascending.has(at(base))
    assert lists.asked == [1]
    assert await ascending.has(at(5_000))
    assert lists.asked == [1]


async def test_many_are_listed_many_at_a_time() -> None:
    lists = Lists([at(base) for base in range(9_000)])
    assert await between([lists], 0, 9_000) == lists.all
    assert lists.asked == [1, 8, 64, 512, 4096, 4096, 4096]


async def test_of_a_gap_nothing_is_listed() -> None:
    lists = Lists([at(base) for base in range(9_000)])
    ascending = Ascending(lists, FOLDER)
    for base in (0, 4_000, 8_999):
        assert await ascending.has(at(base))
    assert sum(limit or 0 for limit in lists.asked) == 1 + 8 + 64


async def test_junk_and_what_lies_on_one_store_alone_are_there_and_neighbours_are_not() -> None:
    one = Lists([at(1), at(2, ".1"), at(2), at(3), "segments/t/00001/00001/" + at(2)[-31:]])
    two = Lists([at(2), at(4)])
    assert await between([one, two], 2, 4) == [at(2, ".1"), at(2), at(3)]
    assert await between([one, two], 2, 5) == [at(2, ".1"), at(2), at(3), at(4)]
    assert await between([one, two], 5, 9) == []


@pytest.mark.parametrize("seed", range(20))
async def test_in_any_order_it_says_what_a_whole_listing_says(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(names_module, "MOST_AT_A_TIME", chance.choice([1, 3, 50]))
    there = {at(chance.randrange(300), chance.choice(["", "", ".1"])) for _ in range(100)}
    ascending = Ascending(Lists(sorted(there)), FOLDER)
    wanted = [at(chance.randrange(310)) for _ in range(200)]
    for name in sorted(wanted) if seed % 2 else wanted:
        assert await ascending.has(name) == (name in there)
        assert await ascending.first(name) == min((n for n in there if n >= name), default=None)

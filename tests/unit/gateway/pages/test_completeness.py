"""The picture of completeness, of chains that a test writes offset by offset."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit_stream.evidence.digest import Covered, Digest
from audit_stream.gateway.pages.completeness import GAP, GOOD, NOTHING, pictures
from audit_stream.gateway.pages.standing import BAD, places, signs
from audit_stream.index.counts import DAY_MS, number_of_day
from audit_stream.stores.memory import MemoryWormStore
from tests.support import chains
from tests.support.chains import ChainMaker
from tests.support.following import followed, indexed_chains
from tests.support.indexing import Indexing

FIRST = number_of_day("2026-03-01")


async def generation(store: MemoryWormStore, number: int, genesis: int, **more: Any) -> ChainMaker:
    stream = chains.stream_of("t", partitions=1, generation=number, genesis=genesis, **more)
    maker = ChainMaker(store, replace(stream, topic_id="same"))
    await maker.found()
    return maker


async def add(maker: ChainMaker, day: int, offsets: int = 10) -> None:
    at = (FIRST + day) * DAY_MS + 1
    sealed = f"2026-03-{day + 1:02d}T00:00:01.000Z"
    await maker.add(0, offsets, first_ts=at, last_ts=at, sealed_at=sealed)


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Indexing]:
    """Ten offsets on each of two days; then a generation that begins five offsets too late."""
    store = MemoryWormStore()
    before = await generation(store, 1, 0)
    await add(before, 0)
    await add(before, 1)
    leaf = before.links[0].leaf
    after = await generation(store, 2, 25, ended=[{"leaf": leaf, "next": 20, "partition": 0}])
    await add(after, 3)
    await add(after, 4)
    async with indexed_chains(store, tmp_path) as found:
        yield found


async def test_offsets_between_two_generations_are_a_gap(made: Indexing) -> None:
    (picture,) = pictures(followed(made), FIRST + 5)
    (strip,) = picture.strips
    states = [cell.state for cell in strip.cells[-6:]]
    assert states == [GOOD, GOOD, NOTHING, GAP, GOOD, NOTHING]
    assert picture.findings == ["Partition 0, 4 March 2026: 5 events missing"]
    assert strip.counted.offsets == 40
    missing = signs(followed(made), (FIRST + 5) * DAY_MS)[0]
    assert (missing.state, missing.answer) == (BAD, "Something is missing")
    assert missing.more == ("5 positions between two generations of a topic.",)


async def test_of_an_older_generation_nothing_is_to_come(made: Indexing) -> None:
    found = places(followed(made))
    assert [(each.generation, each.is_newest) for each in found] == [(1, False), (2, True)]
    seen = [
        Covered(topic="t", generation=number, partition=0, archived_next=reached, end=99 * ended)
        for number, reached, ended in ((1, 20, 1), (2, 45, 0))
    ]  # fmt: skip
    before = Digest(archive=chains.NAME, coverage=seen, prev_root=bytes(32),
                    time="2026-03-05T23:57:00.000Z")  # fmt: skip
    late = signs(followed(made, before), (FIRST + 5) * DAY_MS)[1]
    assert late.answer == "Nothing is late"


async def test_what_is_followed_no_further_is_missing(made: Indexing) -> None:
    made.tail._stopped["t/1/0"] = None
    missing = signs(followed(made), 0)[0]
    assert any(each.startswith("t/1/0 is followed no further") for each in missing.more)
    (picture,) = pictures(followed(made), FIRST + 5)
    assert "Partition 0, now: what follows position 20 does not fit, or is gone" in picture.findings


async def test_an_empty_day_is_not_called_complete(made: Indexing) -> None:
    (picture,) = pictures(followed(made), FIRST - 1)
    (strip,) = picture.strips
    assert picture.is_empty
    assert strip.said == "nothing archived in these days"


async def test_a_generation_that_was_not_archived_to_its_end_is_short(tmp_path: Path) -> None:
    store = MemoryWormStore()
    before = await generation(store, 1, 0)
    await add(before, 0)
    after = await generation(
        store, 2, 12, ended=[{"leaf": before.links[0].leaf, "next": 12, "partition": 0}]
    )
    await add(after, 1)
    async with indexed_chains(store, tmp_path) as found:
        missing = signs(followed(found), 0)[0]
        assert (missing.state, missing.more) == (
            BAD, ("2 positions at the end of a generation of a topic.",)
        )  # fmt: skip
        (picture,) = pictures(followed(found), FIRST + 5)
        assert picture.findings == ["Partition 0, now: 2 events missing at the end of a generation"]


async def test_an_empty_archive_promises_nothing(tmp_path: Path) -> None:
    async with indexed_chains(MemoryWormStore(), tmp_path) as empty:
        answers = {each.question: each.answer for each in signs(followed(empty), 0)}
        assert answers["Missing"] == answers["Protection"] == "Nothing is archived yet"
        assert answers["Late"] == "Not known"
        assert pictures(followed(empty), FIRST) == []

"""Positions: compare-and-swap, never backwards, never another archive's."""

from dataclasses import replace

import orjson
import pytest

from audit_stream.delivery.position import Position, Positions, all_positions, parse_position
from audit_stream.delivery.retried import Retries
from audit_stream.errors import DeliveryConflict, FormatError, StoreTransient
from audit_stream.evidence.canonical import canonical
from audit_stream.seal.builder import Link
from audit_stream.stores.memory_subjects import MemorySubjectStore
from tests.support.chains import stream_of

STREAM = stream_of("t", genesis=5)
BEGIN = Position.begin("siem", STREAM, 1)
LEAF = "ab" * 32


def now():
    return "2026-11-26T00:00:00.000Z"


@pytest.fixture
def store():
    return MemorySubjectStore()


async def test_a_position_is_found_again(store):
    positions = Positions(store, now)
    assert await positions.open(BEGIN) == BEGIN
    inside = BEGIN.inside(LEAF, 9)
    await positions.move(inside)
    assert await Positions(store, now).open(BEGIN) == inside
    behind = inside.behind(Link(next=20, seq=1, leaf=LEAF))
    assert (behind.settled, behind.within) == (20, None)
    await positions.move(behind)
    assert await all_positions(store, "siem") == [behind]
    assert await all_positions(store, "sie") == []


async def test_the_second_to_move_is_told(store):
    one, two = Positions(store, now), Positions(store, now)
    for each in (one, two):
        await each.open(BEGIN)
    await one.move(BEGIN.inside(LEAF, 9))
    with pytest.raises(DeliveryConflict):
        await two.move(BEGIN.inside(LEAF, 9))
    await one.move(BEGIN.inside(LEAF, 10))
    with pytest.raises(DeliveryConflict):
        await two.move(BEGIN.inside(LEAF, 11))
    assert (await all_positions(store, "siem"))[0].settled == 10


async def test_nothing_moves_backwards(store):
    positions = Positions(store, now)
    await positions.open(BEGIN)
    await positions.move(BEGIN.inside(LEAF, 9))
    with pytest.raises(AssertionError):
        await positions.move(BEGIN.inside(LEAF, 8))


async def test_another_streams_position_is_refused(store):
    positions = Positions(store, now)
    await positions.open(BEGIN)
    await positions.move(BEGIN.inside(LEAF, 9))
    other = Position.begin("siem", replace(STREAM, stream="ff" * 16), 1)
    with pytest.raises(FormatError, match="another archive"):
        await Positions(store, now).open(other)


@pytest.mark.parametrize(
    "change", [{"next": "1"}, {"leaf": 1}, {"settled": None}, {"more": 1}, {"v": "x/1"}]
)
async def test_what_is_no_position_is_refused(store, change):
    positions = Positions(store, now)
    await positions.open(BEGIN)
    await positions.move(BEGIN.inside(LEAF, 9))
    kept = await store.get(BEGIN.name)
    with pytest.raises(FormatError):
        parse_position(canonical(orjson.loads(kept.data) | change), "x")


async def test_entries_tried_again_are_passed_once(store):
    one, two = (Retries(store, "siem", "id", now) for _ in range(2))
    begin, same = await one.at(3), await two.at(3)
    assert begin.next == 0
    after = await one.move(begin, 4)
    with pytest.raises(DeliveryConflict):
        await two.move(same, 4)
    await one.move(after, 5)
    assert (await two.at(3)).next == 5
    assert (await two.at(2)).next == 0
    assert (await Retries(store, "siem", "made anew", now).at(3)).next == 0


async def test_an_own_write_that_was_never_heard_of_is_no_conflict(store):
    class Deaf(MemorySubjectStore):
        """Stores, and loses the answer of the first look behind a write."""

        def __init__(self):
            super().__init__()
            self.deaf = False

        async def get(self, name):
            if self.deaf:
                self.deaf = False
                raise StoreTransient("no answer")
            return await super().get(name)

    deaf = Deaf()
    positions = Positions(deaf, now)
    await positions.open(BEGIN)
    for offset in (9, 10):
        deaf.deaf = True
        with pytest.raises(StoreTransient):
            await positions.move(BEGIN.inside(LEAF, offset))
        await positions.move(BEGIN.inside(LEAF, offset))
    assert (await all_positions(deaf, "siem"))[0].settled == 10

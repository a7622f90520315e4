"""A period of a topic: which segments count, what is open, what is unresolved."""

from __future__ import annotations

import pytest

from audit_stream.archive.completeness import Completeness, Prover, Reached
from audit_stream.archive.range import Bound, Range
from audit_stream.errors import ForkAlarm, FormatError
from audit_stream.evidence import layout
from audit_stream.evidence.layout import SegmentName
from audit_stream.stores.file import FileStore
from audit_stream.stores.memory import MemoryWormStore
from tests.support.chains import TRUSTED, ChainMaker, stream_of


def period(start: int, stop: int) -> Range:
    return Range(start=Bound(start, is_time=True), stop=Bound(stop, is_time=True))


async def proved(
    store: object, start: int, stop: int, reached: Reached | None = None
) -> Completeness:
    prover = Prover(store, TRUSTED, period(start, stop), reached or {})  # type: ignore[arg-type]
    return await prover.run("t")


@pytest.fixture
async def maker() -> ChainMaker:
    made = ChainMaker(MemoryWormStore(), stream_of("t", partitions=1))
    await made.found()
    return made


async def add(maker: ChainMaker, first: int | None, last: int | None, ledger: str = "10i") -> str:
    return await maker.add(first_ts=first, last_ts=last, ledger=ledger)


async def test_whole_segments_that_hold_the_period_count(maker: ChainMaker) -> None:
    await add(maker, 0, 9)
    names = [await add(maker, 5, 12), await add(maker, None, None, "10x"), await add(maker, 19, 30)]
    await add(maker, 31, 40)
    (stretch,) = (await proved(maker.store, 10, 20)).stretches
    assert (stretch.base, stretch.next, stretch.offsets) == (10, 40, 30)
    assert (stretch.first_object, stretch.last_object) == (names[0], names[-1])
    assert (stretch.first_ts, stretch.last_ts) == (5, 30)
    assert +stretch.counts == {"i": 20, "x": 10}
    assert stretch.complete


async def test_without_anything_later_it_is_open_until_a_digest_says(maker: ChainMaker) -> None:
    await add(maker, 10, 12)
    assert not (await proved(maker.store, 10, 20)).stretches[0].complete
    for end, complete in ((10, True), (11, False), (None, False)):
        found = await proved(maker.store, 10, 20, {(1, 0): (10, end)})
        assert found.stretches[0].complete is complete
    claimed = await proved(maker.store, 10, 20, {(1, 0): (11, 11)})
    assert not claimed.stretches[0].complete  # the archive has less than its log says


async def test_only_what_the_period_quarantined_is_unresolved(maker: ChainMaker) -> None:
    await add(maker, 10, 12, "4i2q4i")
    await add(maker, 21, 22, "10q")
    assert (await proved(maker.store, 10, 20)).unresolved == 2


async def test_a_hole_or_a_fork_is_an_error_not_a_number(tmp_path: object) -> None:
    maker = ChainMaker(FileStore(tmp_path), stream_of("t", partitions=1))  # type: ignore[arg-type]
    await maker.found()
    await add(maker, 10, 12)
    name = await add(maker, 13, 14)
    await add(maker, 15, 16)
    (tmp_path / name).unlink()  # type: ignore[operator]
    with pytest.raises(FormatError, match="no segment stands at offset 10"):
        await proved(maker.store, 10, 20)


async def test_a_segment_that_does_not_continue_is_an_error(maker: ChainMaker) -> None:
    await add(maker, 10, 12)
    await maker.add(prev="11" * 32)
    with pytest.raises(ForkAlarm):
        await proved(maker.store, 10, 20)


async def test_offsets_between_two_generations_are_unexplained(maker: ChainMaker) -> None:
    from dataclasses import replace

    first = replace(maker.stream, topic_id="T", topic="t")
    store = MemoryWormStore()
    old = ChainMaker(store, first)
    await old.found()
    await add(old, 10, 12)
    leaf = old.links[0].leaf
    later = stream_of("t", partitions=1, generation=2, genesis=25,
                      ended=[{"leaf": leaf, "next": 10, "partition": 0}])  # fmt: skip
    new = ChainMaker(store, replace(later, topic_id="T"))
    await new.found()
    await add(new, 15, 16)
    found = await proved(store, 10, 20)
    assert found.unexplained == 15
    assert [s.generation for s in found.stretches] == [1, 2]
    assert await store.get(layout.stream_name("t", 2)) is not None
    assert str(SegmentName("t", 2, 0, 25)) == found.stretches[1].first_object

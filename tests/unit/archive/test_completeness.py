"""A period of a topic: which segments count, what is open, what is unresolved."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from audit_stream.archive.completeness import Completeness, Prover, Reached
from audit_stream.archive.range import Bound, Range, TwinRange
from audit_stream.errors import ForkAlarm, FormatError
from audit_stream.evidence import layout
from audit_stream.evidence.completeness import Statement
from audit_stream.evidence.layout import SegmentName
from audit_stream.stores.file import FileStore
from audit_stream.stores.memory import MemoryWormStore
from tests.support.chains import NAME, TRUSTED, ChainMaker, stream_of


def period(start: int, stop: int) -> Range:
    return Range(start=Bound(start, is_time=True), stop=Bound(stop, is_time=True))


async def proved(
    store: object, start: int, stop: int, reached: Reached | None = None
) -> Completeness:
    prover = Prover(store, TRUSTED, period(start, stop), reached or {})  # type: ignore[arg-type]
    return await prover.run("t")


def statement_of(found: Completeness) -> Statement:
    return Statement(
        archive=NAME, topic="t", start="", stop="", made_at="", stretches=found.stretches,
        unexplained=found.unexplained, unresolved=found.unresolved, assurance=None,
        checkpoint=None,
    )  # fmt: skip


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


async def test_of_a_rekeyed_topic_no_time_says_that_a_period_is_over(maker: ChainMaker) -> None:
    """Each copy has its original's time, and comes when its partition's turn does."""
    early = "1969-12-31T22:59:59.000Z"
    await maker.add(first_ts=0, last_ts=1, sealed_at=early)  # more than an hour before
    await maker.add(first_ts=31, last_ts=9)
    await maker.add(first_ts=15, last_ts=16)
    twin = TwinRange(start=Bound(10, is_time=True), stop=Bound(20, is_time=True))
    for reached, complete in (({}, False), ({(1, 0): (31, 31)}, False), ({(1, 0): (30, 30)}, True)):
        (stretch,) = (await Prover(maker.store, TRUSTED, twin, reached).run("t")).stretches
        assert stretch.complete is complete
        assert (stretch.base, stretch.offsets) == (10, 20)
    (stretch,) = (await proved(maker.store, 10, 20)).stretches
    assert stretch.complete  # as of any other topic


async def test_what_a_rekeyed_topic_lost_counts_with_its_segment(maker: ChainMaker) -> None:
    early = "1969-12-31T22:59:59.000Z"
    await maker.add(first_ts=0, last_ts=1, ledger="5i5l", sealed_at=early)
    await maker.add(first_ts=31, last_ts=32, ledger="4i6l")
    await maker.add(first_ts=12, last_ts=13)
    twin = TwinRange(start=Bound(10, is_time=True), stop=Bound(20, is_time=True))
    (stretch,) = (await Prover(maker.store, TRUSTED, twin, {}).run("t")).stretches
    assert stretch.counts["l"] == 6


@pytest.mark.parametrize(
    ("segments", "lost"),
    [
        pytest.param([(0, 5, "10i"), (30, 31, "5l5i")], 5, id="all of the period"),
        pytest.param([(0, 5, "10i"), (None, None, "10l"), (30, 31, "5l5i")], 15, id="in two"),
        pytest.param([(0, 5, "10i"), (None, None, "10l"), (30, 31, "10i")], 10, id="on its own"),
        pytest.param([(0, 5, "5i5l"), (30, 31, "10i")], 5, id="behind what is before it"),
        pytest.param([(0, 5, "5i2x3l"), (None, None, "10x"), (30, 31, "10i")], 3, id="then holes"),
        pytest.param([(0, 5, "10i"), (None, None, "10l"), (15, 16, "10i")], 10, id="its start"),
        pytest.param([(12, 13, "10i"), (30, 31, "2x3l5i")], 3, id="its end"),
        pytest.param([(None, None, "10l"), (30, 31, "10i")], 10, id="before the first record"),
        pytest.param([(0, 5, "10i"), (None, None, "10l")], 10, id="and nothing behind it"),
        pytest.param([(0, 5, "10i"), (None, None, "10l"), (7, 8, "10i")], 0, id="before it"),
        pytest.param([(0, 5, "5i5l"), (7, 8, "5l5i"), (30, 31, "10i")], 0, id="twice before it"),
        pytest.param([(12, 25, "10i"), (30, 31, "5l5i")], 0, id="behind it"),
        pytest.param([(0, 5, "10i"), (30, 31, "5i5l"), (40, 41, "5l5i")], 0, id="long behind it"),
        pytest.param([(12, 25, "10i"), (None, None, "10l"), (30, 31, "10i")], 0, id="all behind"),
        pytest.param([(0, 5, "10i"), (30, 31, "5x5i")], 0, id="never there"),
    ],
)
async def test_what_retention_deleted_counts_if_it_can_be_of_the_period(
    maker: ChainMaker, segments: list[tuple[int | None, int | None, str]], lost: int
) -> None:
    for segment in segments:
        await add(maker, *segment)
    found = await proved(maker.store, 10, 20)
    (stretch,) = found.stretches
    assert stretch.counts["l"] == lost
    assert stretch.complete is (segments[-1][1] is not None and segments[-1][1] >= 20)
    statement = statement_of(found)
    assert statement.lost == lost
    assert statement.is_complete is (stretch.complete and not lost)
    assert orjson.loads(statement.line())["complete"] is statement.is_complete


async def test_a_loss_is_of_what_the_generation_before_left_open() -> None:
    old, new = await two_generations((0, 5), genesis=10)
    await add(new, 30, 31, "5l5i")
    assert (await proved(old.store, 10, 20)).stretches[1].counts["l"] == 5
    assert (await proved(old.store, 1, 4)).stretches[1].counts["l"] == 0


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


async def two_generations(times: tuple[int, int], genesis: int) -> tuple[ChainMaker, ChainMaker]:
    """Ten offsets at these times, then the next generation of the same topic, from `genesis` on."""
    store = MemoryWormStore()
    old = ChainMaker(store, replace(stream_of("t", partitions=1), topic_id="T"))
    await old.found()
    await add(old, *times)
    later = stream_of("t", partitions=1, generation=2, genesis=genesis,
                      ended=[{"leaf": old.links[0].leaf, "next": 10, "partition": 0}])  # fmt: skip
    new = ChainMaker(store, replace(later, topic_id="T"))
    await new.found()
    return old, new


async def test_a_gap_before_a_generation_of_a_rekeyed_topic_that_has_nothing_counts() -> None:
    """The fleet was down for longer than the twin keeps its records: they may be of the period."""
    _, new = await two_generations((10, 12), genesis=25)
    twin = TwinRange(start=Bound(10, is_time=True), stop=Bound(20, is_time=True))
    found = await Prover(new.store, TRUSTED, twin, {(2, 0): (25, 25)}).run("t")
    assert found.unexplained == 15
    assert not statement_of(found).is_complete


async def test_offsets_between_two_generations_are_unexplained() -> None:
    old, new = await two_generations((10, 12), genesis=25)
    await add(new, 15, 16)
    found = await proved(old.store, 10, 20)
    assert found.unexplained == 15
    assert not statement_of(found).is_complete
    assert [s.generation for s in found.stretches] == [1, 2]
    assert await old.store.get(layout.stream_name("t", 2)) is not None
    assert str(SegmentName("t", 2, 0, 25)) == found.stretches[1].first_object


@pytest.mark.parametrize(("start", "stop", "unexplained"), [(10, 20, 15), (1, 4, 0), (31, 40, 0)])
async def test_offsets_between_two_generations_are_of_the_time_between(
    start: int, stop: int, unexplained: int
) -> None:
    old, new = await two_generations((0, 5), genesis=25)
    await add(new, None, None, "10x")
    await add(new, 30, 31)
    assert (await proved(old.store, start, stop)).unexplained == unexplained

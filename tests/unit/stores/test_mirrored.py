"""Two stores as one: what stands where when a put returns, waits, or was cut off."""

from __future__ import annotations

import asyncio

import pytest

from audit_stream.errors import Diverged, StoreError
from audit_stream.evidence.log_names import batch_name
from audit_stream.evidence.register import Register
from audit_stream.ports import PutResult
from audit_stream.stores.backlog import Bound
from audit_stream.stores.mirrored import MirroredStore, Mirroring
from tests.support.clock import settle
from tests.support.mirroring import Pair, segment

BOTH = pytest.mark.parametrize("mode", list(Mirroring))


async def wait_all(pair: Pair, *names: str) -> None:
    await settle()
    assert pair.copied == sorted(names)


class TestBefore:
    async def test_a_put_returns_when_it_stands_on_both(self) -> None:
        pair = Pair(Mirroring.BEFORE)
        store = pair.open()
        pair.secondary.gate = asyncio.Event()
        putting = asyncio.ensure_future(store.put_if_absent("maps/a.json", b"x", {"k": "v"}))
        await settle()
        assert pair.primary.objects.keys() == {"maps/a.json"}
        assert not putting.done()
        pair.secondary.gate.set()
        assert await putting is PutResult.STORED
        assert pair.secondary.objects["maps/a.json"].metadata == {"k": "v"}

    async def test_an_outage_of_the_second_holds_a_put_up_until_it_is_back(self) -> None:
        pair = Pair(Mirroring.BEFORE)
        store = pair.open()
        pair.secondary.outage = True
        putting = asyncio.ensure_future(store.put_if_absent("a", b"x", {}))
        await pair.clock.advance(600)
        assert not putting.done()
        pair.secondary.outage = False
        assert await pair.clock.run(asyncio.wait_for(putting, None)) is PutResult.STORED
        assert pair.copied == ["a"]

    async def test_where_another_writer_won_the_winners_bytes_are_copied(self) -> None:
        pair = Pair(Mirroring.BEFORE)
        await pair.primary.put_if_absent("a", b"winner", {})
        assert await pair.open().put_if_absent("a", b"loser", {}) is PutResult.EXISTS
        assert pair.secondary.objects["a"].data == b"winner"

    async def test_what_a_writer_reads_stands_on_both(self) -> None:
        """The one before was killed between its two puts; this one goes on from the tail."""
        pair = Pair(Mirroring.BEFORE)
        await pair.left_on_primary("streams/t/00001.json", segment(0), segment(5))
        store = pair.open()
        assert await store.get("streams/t/00001.json") is not None
        assert await store.get(segment(5)) == segment(5).encode()
        assert pair.copied == sorted(pair.primary.objects)

    async def test_reading_again_asks_the_second_store_nothing(self) -> None:
        pair = Pair(Mirroring.BEFORE)
        await pair.left_on_primary("maps/a.json", segment(0))
        store = pair.open()
        for name in ("maps/a.json", segment(0)):
            await store.get(name)
        pair.secondary.outage = True
        for name in ("maps/a.json", segment(0)):
            assert await store.get(name) == name.encode()


class TestBehind:
    async def test_a_put_does_not_wait_for_the_second(self) -> None:
        pair = Pair(Mirroring.BEHIND)
        store = pair.open()
        pair.secondary.outage = True
        assert await store.put_if_absent("a", b"x", {}) is PutResult.STORED
        assert (pair.copied, store.backlog.objects) == ([], 1)
        pair.secondary.outage = False
        await pair.clock.advance(10)
        await wait_all(pair, "a")
        assert (store.backlog.objects, store.backlog.lag) == (0, 0.0)

    async def test_beyond_the_bound_in_seconds_puts_wait(self) -> None:
        pair = Pair(Mirroring.BEHIND, Bound(seconds=30))
        store = pair.open()
        pair.secondary.outage = True
        await store.put_if_absent("a", b"x", {})
        await pair.clock.advance(29)
        await store.put_if_absent("b", b"x", {})
        await pair.clock.advance(2)
        assert store.backlog.lag == 31
        waiting = asyncio.ensure_future(store.put_if_absent("c", b"x", {}))
        await pair.clock.advance(100)
        assert not waiting.done()
        assert "c" not in pair.primary.objects
        pair.secondary.outage = False
        await pair.clock.advance(400)
        assert await waiting is PutResult.STORED
        await wait_all(pair, "a", "b", "c")

    async def test_a_second_store_that_is_away_at_the_start_ends_no_copying(self) -> None:
        """Where a chain goes on is read from it, and reads give up; the next put must not be told
        of that, and nothing may be left out when it is back."""
        pair = Pair(Mirroring.BEHIND, Bound(seconds=900))
        store = pair.open()
        pair.secondary.outage = True
        await store.put_if_absent(segment(0), b"x", {})
        await pair.clock.advance(600)
        await store.put_if_absent(segment(4), b"x", {})
        assert store.backlog.objects == 2
        pair.secondary.outage = False
        await pair.clock.advance(200)
        await wait_all(pair, segment(0), segment(4))

    @pytest.mark.parametrize("bound", [Bound(seconds=9e9, objects=2), Bound(seconds=9e9, bytes=4)])
    async def test_a_full_queue_makes_puts_wait(self, bound: Bound) -> None:
        pair = Pair(Mirroring.BEHIND, bound)
        store = pair.open()
        pair.secondary.gate = asyncio.Event()
        for name in ("a", "b"):
            await store.put_if_absent(name, b"xx", {})
        waiting = asyncio.ensure_future(store.put_if_absent("c", b"xx", {}))
        await settle()
        assert not waiting.done()
        pair.secondary.gate.set()
        await waiting
        await wait_all(pair, "a", "b", "c")

    async def test_close_copies_what_waits(self) -> None:
        pair = Pair(Mirroring.BEHIND)
        store = pair.open()
        pair.secondary.gate = asyncio.Event()
        await store.put_if_absent("a", b"x", {})
        closing = asyncio.ensure_future(store.close())
        await settle()
        pair.secondary.gate.set()
        await closing
        assert pair.copied == ["a"]

    async def test_close_does_not_wait_for_ever_and_says_what_is_left(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        pair = Pair(Mirroring.BEHIND)
        store = pair.open(drain_seconds=0.01)
        pair.secondary.outage = True
        await store.put_if_absent("a", b"x", {})
        await store.close()
        assert "1 objects are not on the second store yet" in caplog.text


class TestChains:
    @BOTH
    @pytest.mark.parametrize(
        "names",
        [
            [segment(0), segment(4), segment(9)],
            [Register.HOLDS.entry_name(number) for number in range(3)],
            [batch_name(0), batch_name(7), batch_name(9)],
        ],
        ids=["segments", "register", "log"],
    )
    async def test_what_a_crash_left_uncopied_goes_before_what_comes_next(
        self, mode: Mirroring, names: list[str]
    ) -> None:
        pair = Pair(mode)
        await pair.left_on_primary(*names[:2])
        await pair.open().put_if_absent(names[2], b"x", {})
        await settle()
        assert pair.secondary.attempts == names

    @BOTH
    async def test_a_chain_is_caught_up_with_after_another_owner(self, mode: Mirroring) -> None:
        pair = Pair(mode)
        mine = pair.open()
        await mine.put_if_absent(segment(0), b"x", {})
        await settle()
        await pair.left_on_primary(segment(4))  # by one who had the partition meanwhile
        await mine.put_if_absent(segment(9), b"x", {})
        await settle()
        assert pair.secondary.attempts == [segment(0), segment(4), segment(9)]

    async def test_the_second_never_has_a_hole_in_a_chain(self) -> None:
        """Cut off at any time: of two partitions' chains it holds the beginning."""
        pair = Pair(Mirroring.BEHIND)
        store = pair.open()
        for base in range(20):
            for partition in (0, 1):
                await store.put_if_absent(segment(base, partition), b"x", {})
            for partition in (0, 1):
                bases = [b for b in range(20) if segment(b, partition) in pair.secondary.objects]
                assert bases == list(range(len(bases)))

    @BOTH
    async def test_junk_that_won_a_name_is_copied_with_its_successor(self, mode: Mirroring) -> None:
        pair = Pair(mode)
        await pair.primary.put_if_absent(segment(0), b"junk", {})
        store = pair.open()
        assert await store.put_if_absent(segment(0), b"mine", {}) is PutResult.EXISTS
        beside = segment(0).replace(".ndjson", ".1.ndjson")
        assert await store.put_if_absent(beside, b"mine", {}) is PutResult.STORED
        await settle()
        copied = {name: each.data for name, each in pair.secondary.objects.items()}
        assert copied == {segment(0): b"junk", beside: b"mine"}

    async def test_a_successor_of_junk_that_a_crash_left_uncopied_is_no_hole(self) -> None:
        """Its name sorts before the junk's, which is on the second store already."""
        pair = Pair(Mirroring.BEFORE)
        beside = segment(0).replace(".ndjson", ".1.ndjson")
        await pair.left_on_primary(segment(0), beside)
        await pair.secondary.put_if_absent(segment(0), segment(0).encode(), {})
        await pair.open().put_if_absent(segment(4), b"x", {})
        assert pair.copied == sorted([segment(0), beside, segment(4)])

    async def test_a_tail_that_was_disposed_of_is_no_divergence(self) -> None:
        pair = Pair(Mirroring.BEFORE)
        await pair.secondary.put_if_absent(segment(0), b"x", {})
        await pair.left_on_primary(segment(0).replace("segments", "disposed")[:-9] + "json")
        assert await pair.open().put_if_absent(segment(4), b"x", {}) is PutResult.STORED
        assert pair.diverged == []


async def _go_on(store: MirroredStore) -> None:
    """Put until it is noticed, which takes some listings."""
    for base in range(4, 40):
        await store.put_if_absent(segment(base), b"x", {})
        await settle()


class TestDiverged:
    async def test_other_bytes_on_the_second_stop_it_and_stay(self) -> None:
        pair = Pair(Mirroring.BEFORE)
        await pair.secondary.put_if_absent("a", b"other", {})
        with pytest.raises(Diverged):
            await pair.open().put_if_absent("a", b"x", {})
        assert pair.diverged == ["a has other bytes on the second store"]
        assert pair.secondary.objects["a"].data == b"other"

    async def test_behind_the_next_put_stops(self) -> None:
        pair = Pair(Mirroring.BEHIND)
        store = pair.open()
        await pair.secondary.put_if_absent("a", b"other", {})
        await store.put_if_absent("a", b"x", {})
        await settle()
        with pytest.raises(Diverged):
            await store.put_if_absent("b", b"x", {})
        assert "b" not in pair.primary.objects
        await store.close()

    @BOTH
    async def test_a_chain_that_ends_otherwise_stops_who_starts_again(
        self, mode: Mirroring
    ) -> None:
        pair = Pair(mode)
        await pair.left_on_primary(segment(0))
        await pair.secondary.put_if_absent(segment(0), b"other", {})
        store = pair.open()
        with pytest.raises(Diverged):
            await _go_on(store)
        assert segment(4) not in pair.secondary.objects
        await store.close()

    async def test_a_primary_that_lost_its_tail_is_not_written_on(self) -> None:
        pair = Pair(Mirroring.BEFORE)
        await pair.secondary.put_if_absent(segment(0), b"x", {})
        with pytest.raises(Diverged, match="stands on the second store alone"):
            await pair.open().put_if_absent(segment(4), b"x", {})

    def test_it_is_not_tried_again(self) -> None:
        assert not issubclass(Diverged, StoreError)

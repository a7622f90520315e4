"""What the evidence says of bytes: what is signed, hashed, logged, passed over or disposed of."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from audit_stream.evidence.access import decode_part
from audit_stream.evidence.batch import Leaf, decode_batch
from audit_stream.evidence.layout import SegmentName, stream_name
from audit_stream.evidence.log_names import access_name
from audit_stream.evidence.register import Register
from audit_stream.notary.gather import Ends, Gatherer
from audit_stream.notary.notary import Notary
from audit_stream.redundancy.composing import Composing
from audit_stream.redundancy.judge import Judge
from audit_stream.redundancy.leaves import Leaves
from audit_stream.redundancy.log_facts import LogFacts
from audit_stream.redundancy.pairing import Pairing
from audit_stream.redundancy.sides import SIDES, Sides
from audit_stream.redundancy.word import Word
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.telemetry.alerts import AlarmBoard
from tests.campaigns.tampering.archives import names_of
from tests.campaigns.tampering.scene import LOG, Objects, build
from tests.support import access, golden
from tests.support.chains import NAME, TRUSTED, ChainMaker, stream_of
from tests.support.damage import Twins, flipped
from tests.support.registers import put, redaction
from tests.unit.retention.test_readers import disposed
from tests.unit.verify.test_log import LOG as CHAINS_LOG


@pytest.fixture(scope="module")
def good() -> Objects:
    return asyncio.run(build(batches=4)).objects


async def nobody() -> Ends | None:
    return None


async def judged(twins: Twins, name: str, data: bytes) -> Word:
    return (await twins.judge().judge(name, data)).word


class TestLog:
    async def test_a_leaf_under_another_objects_name_is_wrong(self, good: Objects) -> None:
        """Names are not hashed: the checkpoint's root still holds."""
        name = names_of(good, "batch")[1]
        batch = decode_batch(good[name], name)
        at = next(i for i, leaf in enumerate(batch.leaves) if leaf.name is not None)
        for said in ("segments/other", None):
            leaves = [*batch.leaves]
            leaves[at] = Leaf(leaves[at].line, said)
            changed = replace(batch, leaves=tuple(leaves)).encode()
            assert await judged(await Twins.of(good), name, changed) is Word.WRONG

    async def test_a_leaf_with_another_line_is_wrong(self, good: Objects) -> None:
        """Its hash fits it; the checkpoint's root does not."""
        name = names_of(good, "batch")[0]
        batch = decode_batch(good[name], name)
        other = Leaf(batch.leaves[0].line.replace(b'"made"', b'"maid"'))
        assert other != batch.leaves[0]
        changed = replace(batch, leaves=(other, *batch.leaves[1:])).encode()
        assert await judged(await Twins.of(good), name, changed) is Word.WRONG

    async def test_a_part_of_a_journal_with_other_entries_is_wrong(self, good: Objects) -> None:
        """It fits itself and the one before it; the log has another."""
        for number in range(4):
            name = access_name(access.JOURNAL, number)
            part = decode_part(good[name], name)
            forged = replace(part, entries=part.entries[:1]).encode()
            assert await judged(await Twins.of(good), name, forged) is Word.WRONG

    async def test_a_batch_is_followed_over_the_good_ones_of_either_store(
        self, good: Objects
    ) -> None:
        first, second, *_, last = names_of(good, "batch")
        twins = await Twins.of(good)
        twins.replace("primary", first, flipped(good[first]))
        twins.remove("secondary", second)
        assert await judged(twins, last, good[last]) is Word.GOOD

    async def test_behind_a_batch_that_neither_has_good_nothing_can_be_told(
        self, good: Objects
    ) -> None:
        first, *_, last = names_of(good, "batch")
        twins = await Twins.of(good)
        for side in SIDES:
            twins.remove(side, first)
        assert await judged(twins, last, good[last]) is Word.UNPROVEN
        tile = names_of(good, "tile")[0]
        assert await judged(twins, tile, good[tile]) is Word.UNPROVEN

    async def test_without_the_logs_key_nothing_of_it_can_be_told(self, good: Objects) -> None:
        judge = Judge((await Twins.of(good)).sides, golden.trusted(), None)
        for family in ("batch", "tile", "journal part", "timestamp"):
            name = names_of(good, family)[0]
            assert (await judge.judge(name, good[name])).word is Word.UNPROVEN

    async def test_a_part_of_a_journal_that_is_not_logged_cannot_be_told(
        self, good: Objects
    ) -> None:
        name = access_name(access.JOURNAL, 3)
        forged = good[name].replace(b"m3", b"m4")
        assert await judged(await Twins.of(good), name, forged) is Word.WRONG
        later = {each: data for each, data in good.items() if each != names_of(good, "batch")[-1]}
        assert await judged(await Twins.of(later), name, good[name]) is Word.UNPROVEN

    async def test_a_part_between_logged_ones_is_told_by_the_one_behind_it(
        self, good: Objects
    ) -> None:
        twins = await Twins.of(good)
        facts = LogFacts(twins.sides, LOG.key)
        await facts.judge(name := access_name(access.JOURNAL, 1), good[name])
        del facts._parts[access.JOURNAL, 1], facts._parts[access.JOURNAL, 2]
        assert (await facts.judge(name, good[name])).is_good


async def test_of_what_a_newer_release_wrote_nothing_is_said() -> None:
    store = MemoryWormStore()
    maker = ChainMaker(store, stream_of("t"))
    await maker.found()
    segment = await maker.add(v="audit-segment/2")
    stream = replace(maker.stream, generation=2, v="audit-stream/2").encode(maker.signer)
    judge = Judge(Sides(store, MemoryWormStore()), TRUSTED, None)
    for name, data in ((segment, await store.get(segment)), (stream_name("t", 2), stream)):
        assert data is not None
        said = await judge.judge(name, data)
        assert said.word is Word.UNPROVEN
        assert "this release does not know" in said.why


class TestJunk:
    async def test_junk_that_a_segment_names_is_copied_and_other_junk_is_not(self) -> None:
        store = MemoryWormStore()
        maker = ChainMaker(store, stream_of("t"))
        await maker.found()
        junk = str(SegmentName("t", 1, 0, 0))
        await store.put_if_absent(junk, b"junk", {})
        void = [{"name": junk, "sha256": sha256(b"junk").hexdigest()}]
        header = replace(maker.header(0, 10), void=void)
        await put_segment(store, maker, header, 1)
        sides = Sides(store, MemoryWormStore())
        judge = Judge(sides, TRUSTED, None)
        assert (await judge.judge(junk, b"junk")).is_good
        assert (await judge.judge(junk, b"junk!")).word is Word.WRONG
        done = await Pairing(sides, judge, add_to="secondary").run()
        assert (done.added_count, done.alone) == (3, 0)

    async def test_junk_that_a_register_passes_over_is_copied(self) -> None:
        store, register = MemoryWormStore(), Register.REDACTIONS
        await put(store, register, redaction(0).said())
        await store.put_if_absent(register.entry_name(1), b"junk", {})
        await put(store, register, redaction(1).said())
        sides = Sides(store, MemoryWormStore())
        done = await Pairing(sides, Judge(sides, TRUSTED, None), add_to="secondary").run()
        assert (done.added_count, done.alone) == (3, 0)

    async def test_an_entry_that_became_junk_is_not(self, good: Objects) -> None:
        """The entry behind it names it: it was an entry."""
        name = names_of(good, "register entry")[1]
        assert await judged(await Twins.of(good), name, b"junk") is Word.WRONG


async def put_segment(
    store: MemoryWormStore, maker: ChainMaker, header: object, attempt: int
) -> None:
    from audit_stream.evidence.segment import Header, encode

    assert isinstance(header, Header)
    name = str(SegmentName("t", 1, header.partition, header.base, attempt))
    line = header.line()
    await store.put_if_absent(name, encode(line, maker.signer.signature_line(line), b""), {})


async def forked() -> tuple[tuple[MemoryWormStore, MemoryWormStore], str]:
    """Two stores with another segment each, both signed, of which the first one's is logged."""
    stores = MemoryWormStore(), MemoryWormStore()
    for number, store in enumerate(stores):
        maker = ChainMaker(store, stream_of("t"))
        await maker.found()
        name = await maker.add(0, writer=f"w{number}")
    gatherer = Gatherer(stores[0], NAME, TRUSTED, AlarmBoard("n"))
    notary = Notary(stores[0], CHAINS_LOG, gatherer, nobody, lambda: "2026-11-25T00:00:00.000Z")
    await notary.resume()
    await notary.write()
    return stores, name


async def test_of_two_signed_segments_the_logged_one_is_right() -> None:
    stores, name = await forked()
    sides = Sides(*stores)
    found = await Pairing(sides, Judge(sides, TRUSTED, CHAINS_LOG.key)).run()
    (difference,) = [each for each in found.differences if each.name == name]
    assert difference.good == ["primary"]
    assert "not what was logged" in difference.judged["secondary"].why


async def test_an_archive_is_composed_of_the_logged_one_wherever_it_stands() -> None:
    (logged, forged), name = await forked()
    sides, into = Sides(forged, logged), MemoryWormStore()
    assert (await Composing(sides, Judge(sides, TRUSTED, CHAINS_LOG.key), into).run()).lost == []
    assert into.objects[name].data == logged.objects[name].data


async def test_a_signed_segment_that_was_not_logged_is_not_copied() -> None:
    """Who stole a worker's key forged it; whole archives are repaired from what the log says."""
    (logged, forged), name = await forked()
    del logged.objects[name]
    logged.container.names.remove(name)
    sides = Sides(logged, forged)
    done = await Pairing(sides, Judge(sides, TRUSTED, CHAINS_LOG.key), add_to="primary").run()
    assert name not in logged.objects
    assert [each.name for each in done.differences if not each.good] == [name]


def test_leaves_are_found_by_name() -> None:
    leaves, names = Leaves(), [f"segments/t/{number}" for number in range(100)]
    assert leaves.of(names[0]) is None
    for name in reversed(names):
        leaves.add(name, sha256(name.encode()).digest())
    leaves.add(names[7], bytes(32))
    assert [leaves.of(name) for name in names] == [sha256(each.encode()).digest() for each in names]
    assert leaves.of("segments/t/100") is None


async def test_what_was_disposed_of_is_missing_nowhere(tmp_path: Path) -> None:
    before = golden.archive_objects()
    scene = await disposed({0, 60}, tmp_path, before)
    assert isinstance(scene.store, MemoryWormStore)
    objects = {name: each.data for name, each in scene.store.objects.items()}
    twins = await Twins.of(objects)
    gone = [name for name in before if name not in objects and name.startswith("segments/")]
    assert gone
    for name in gone:  # the second store has not removed them yet
        await twins.stores["secondary"].put_if_absent(name, before[name], {})
    for side in SIDES:
        done = await Pairing(twins.sides, twins.judge(), add_to=side).run()
        assert (done.disposed, done.added, done.is_equal) == (len(gone), [], True)


async def test_what_is_kept_of_a_disposed_segment_is_compared_too(tmp_path: Path) -> None:
    scene = await disposed({0}, tmp_path, golden.archive_objects())
    assert isinstance(scene.store, MemoryWormStore)
    objects = {name: each.data for name, each in scene.store.objects.items()}
    for name in (each for each in objects if each.startswith(("disposed/", "disposals/"))):
        twins = await Twins.of(objects)
        twins.replace("primary", name, flipped(objects[name]))
        found = (await Pairing(twins.sides, twins.judge()).run()).differences
        assert [(each.name, each.good) for each in found] == [(name, ["secondary"])]
        twins.remove("primary", name)
        done = await Pairing(twins.sides, twins.judge(), add_to="primary").run()
        assert done.added == [name]

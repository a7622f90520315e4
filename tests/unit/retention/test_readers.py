"""Whoever reads a chain goes on over what was disposed of, and counts it as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.archive.chain import Chain, Found
from audit_stream.archive.compare import compare_partition
from audit_stream.archive.completeness import Prover
from audit_stream.archive.coverage import Coverage
from audit_stream.archive.range import EVERYTHING
from audit_stream.archive.streams import end_chain, newest_stream
from audit_stream.errors import ForkAlarm
from audit_stream.evidence import layout
from audit_stream.evidence.signing import LineSigner
from audit_stream.replay.tally import DISPOSED
from audit_stream.stores.disposal.memory import MemoryDisposer
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.memory_subjects import MemorySubjectStore
from audit_stream.verify.report import Verdict
from tests.support import golden
from tests.support.disposing import LATER_MS, Scene, keyring_in, memory_store
from tests.support.replaying import OBJECTS, ListLog, Replay
from tests.support.resealed import MESSAGES

MINE = f"segments/{MESSAGES}/"
SIGNER = LineSigner(golden.KEYRING.segment_key or b"")
ENDS = {(topic, 0): (0, len(golden.raw_records(topic))) for topic in golden.TOPICS}
#: Of the five segments of messages: all, the first two, one in between, the last.
GONE = [{0, 60, 120, 180, 240}, {0, 60}, {120}, {240}]


@pytest.fixture(params=GONE, ids=str)
async def gone(request: pytest.FixtureRequest) -> set[int]:
    found: set[int] = request.param
    return found


@pytest.fixture
async def scene(gone: set[int], tmp_path: Path) -> Scene:
    """Disposed of, but for what is held: everything beside these segments of messages."""
    return await disposed(gone, tmp_path, golden.archive_objects())


async def disposed(gone: set[int], tmp_path: Path, objects: dict[str, bytes]) -> Scene:
    store = memory_store()
    made = Scene(store, MemorySubjectStore(), MemoryDisposer(store), keyring_in(tmp_path),
                 store.move_clock)  # fmt: skip
    await made.fill(objects)
    await made.at(LATER_MS)
    await made.approved()

    def held(name: str) -> list[str]:
        place = layout.parse_segment_name(name)
        assert place is not None
        return [] if place.topic == MESSAGES and place.base in gone else ["h-1"]

    made.held = held
    [carried] = await made.run()
    assert carried.removed == len(gone)
    return made


async def chain_of(store: MemoryWormStore) -> Chain:
    stream = await newest_stream(store, golden.trusted(), MESSAGES)
    assert stream is not None
    return Chain(store, golden.trusted(), stream, 0)


async def whole() -> MemoryWormStore:
    store = memory_store()
    for name, data in golden.archive_objects().items():
        await store.put_if_absent(name, data, {})
    return store


async def test_the_chain_is_followed_to_its_end(scene: Scene, gone: set[int]) -> None:
    assert isinstance(scene.store, MemoryWormStore)
    chain, before = await chain_of(scene.store), await chain_of(await whole())
    links = [(each.name, each.link) async for each in before.follow_all(before.genesis)]
    found = [each async for each in chain.follow_all(chain.genesis)]
    assert [(each.name, each.link) for each in found] == links
    assert {each.name.base for each in found if each.disposed} == gone
    last, free = await chain.tip()
    assert last is not None
    assert (last.link, free.name) == (links[-1][1], (await before.tip())[1].name)
    for (_, link), each in zip(links, found, strict=True):
        at = await chain.at(each.name.base)
        assert isinstance(at, Found)
        assert at.link == link
        await chain.check_no_hole(link)


async def test_a_generation_can_still_be_ended(scene: Scene) -> None:
    assert isinstance(scene.store, MemoryWormStore)
    chain = await chain_of(scene.store)
    link = await end_chain(scene.store, SIGNER, chain, "2034-01-01T00:00:00.000Z")
    assert link.next == ENDS[MESSAGES, 0][1]
    last = await chain.last()
    assert last is not None
    assert last.link == link
    assert {each.step for each in (await scene.verified()).problems} <= {"V14"}  # no next one yet


async def test_reconciling_counts_as_it_did(scene: Scene) -> None:
    before, after = (Coverage(each, golden.trusted()) for each in (await whole(), scene.store))
    for coverage in (before, after):
        await coverage.update(ENDS)
        await coverage.update(ENDS)  # nothing is read twice
    assert after.totals() == before.totals()
    assert (after.unexplained, after.to_come) == (0, 0)


async def test_a_period_is_as_complete_as_it_was(scene: Scene) -> None:
    stretches = [
        (await Prover(each, golden.trusted(), EVERYTHING, {}).run(MESSAGES)).stretches
        for each in (await whole(), scene.store)
    ]
    assert stretches[0] == stretches[1]


async def test_the_log_can_be_written_anew_behind_it(scene: Scene) -> None:
    await scene.notarise()
    await scene.at(LATER_MS + 3_600_000)
    report = await scene.verified()
    assert (report.problems, report.verdict) == ([], Verdict.VERIFIED)


async def test_a_replay_passes_over_it(gone: set[int], tmp_path: Path) -> None:
    """What is left is compared, as far as the raw log is still there to give the states."""
    scene = await disposed(gone, tmp_path, OBJECTS)
    tally = await Replay(await scene.objects(), tmp_path / "s", ListLog()).run()
    assert tally.differences == []
    offsets = sum(11 if base == 240 else 60 for base in gone)
    assert tally.not_comparable[DISPOSED] == offsets
    assert tally.compared == 251 - offsets


async def test_another_archive_alone_has_what_is_gone(scene: Scene, gone: set[int]) -> None:
    assert isinstance(scene.store, MemoryWormStore)
    one, other = await chain_of(scene.store), await chain_of(await whole())
    found = await compare_partition(one, other, lambda _: None)
    assert found.differences == []
    offsets = {at for start, stop in found.only_b for at in range(start, stop)}
    assert {offset // 60 * 60 for offset in offsets} == gone
    assert found.only_a == []


async def test_without_its_certificate_it_is_a_fork(scene: Scene, gone: set[int]) -> None:
    """The kept header alone, as who can delete could put it."""
    store = memory_store()
    for name, data in (await scene.objects()).items():
        if not name.startswith("disposals/"):
            await store.put_if_absent(name, data, {})
    chain = await chain_of(store)
    with pytest.raises(ForkAlarm, match="no disposal certificate"):
        await chain.at(min(gone))

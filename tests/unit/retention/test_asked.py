"""What a look over an archive asks of its stores: by what has expired or is owed, not by what
stands, and how much of it is in mind at once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from audit_stream.archive.register import RegisterWriter
from audit_stream.errors import KeyringError
from audit_stream.evidence import layout
from audit_stream.evidence.disposal import Disposal, Stretch, Stretches, leaves_digest
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.register import Register
from audit_stream.evidence.signing import LineSigner
from audit_stream.keys.lock import keyring_lock
from audit_stream.notary.log import ArchiveLog
from audit_stream.retention import purging, survey
from audit_stream.retention.owed import Owed, owed_by
from audit_stream.retention.plan import HELD, MISSING, Logged
from audit_stream.retention.survey import Archived
from audit_stream.stores.disposal.memory import MemoryDisposer
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.memory_subjects import MemorySubjectStore
from tests.support import golden
from tests.support.chains import ChainMaker, stream_of
from tests.support.counting import Asked
from tests.support.disposing import (
    DAY_MS,
    DAYS,
    LOG,
    Scene,
    keyring_in,
    memory_store,
)

SIGNER = LineSigner(golden.KEYRING.segment_key or b"")
TOPIC, OFFSETS = "t", 10
PLACE = (TOPIC, 1, 0)
FOLDER = layout.segment_folder(*PLACE)
SUBJECTS = layout.subject_folder(*PLACE)
HEADERS = layout.disposed_folder(*PLACE)


def named(number: int) -> SegmentName:
    return SegmentName(*PLACE, number * OFFSETS)


def stretch(first: int, count: int) -> Stretch:
    return Stretch(
        topic=TOPIC, generation=1, partition=0, base=first * OFFSETS,
        next=(first + count) * OFFSETS, segments=count, records=count, leaves="00" * 32,
    )  # fmt: skip


@dataclass
class Certified:
    """An archive of which the first segments are disposed of, by many certificates."""

    store: Asked
    inventory: Asked
    subjects: Asked
    archived: Archived

    async def owed(self, *, briefly: bool = False) -> list[Owed]:
        return await owed_by(self.archived, self.subjects, briefly=briefly)  # type: ignore[arg-type]


async def certified(certificates: int, each: int, standing: int) -> Certified:
    """So many certificates of so many segments each, all gone, and segments behind them."""
    memory = memory_store()
    register = RegisterWriter(memory, golden.trusted(), LOG.key.name, Register.DISPOSALS)
    for number in range(certificates):
        disposal = Disposal(
            approved_by="officer", basis="over", disposal_id=f"dc-{number:016x}",
            executed_at="2034-01-01T00:00:00.000Z", first=None, last=None, records=each,
            regulatory_tag="C", requested_at="2034-01-01T00:00:00.000Z", requested_by="clerk",
            retention_days=1, segments=each, stretches=[stretch(number * each, each)], years=[],
        )  # fmt: skip
        await register.append(disposal.said(), SIGNER)
    gone = certificates * each
    for number in range(gone):
        await memory.put_if_absent(layout.disposed_name(named(number)), b"header", {})
    for number in range(gone, gone + standing):
        await memory.put_if_absent(str(named(number)), b"segment", {})
    store, inventory, subjects = (
        Asked(memory), Asked(MemoryDisposer(memory)), Asked(MemorySubjectStore())
    )  # fmt: skip
    archived = Archived(
        store=store, log=ArchiveLog(memory, LOG.key), keys=golden.trusted(),  # type: ignore[arg-type]
        inventory=inventory, class_of=lambda _: "C",  # type: ignore[arg-type]
    )  # fmt: skip
    return Certified(store, inventory, subjects, archived)


async def test_a_folder_is_not_listed_anew_for_each_certificate() -> None:
    made = await certified(certificates=20, each=10, standing=300)
    assert await made.owed() == []
    for store, prefix in (
        (made.store, FOLDER),
        (made.inventory, FOLDER),
        (made.subjects, SUBJECTS),
    ):
        assert store.times(prefix) == 1
        assert store.answered(prefix) <= 1  # what stands is not listed
    assert made.store.times(HEADERS) == 0
    assert made.inventory.kept_of == []  # nothing is asked about


async def test_what_is_owed_is_found_with_some_listings_and_nothing_else() -> None:
    made = await certified(certificates=20, each=10, standing=300)
    memory = made.store.inner
    assert isinstance(memory, MemoryWormStore)
    left = [named(number) for number in (3, 9, 10, *range(50, 75), 199)]
    for name in left:
        await memory.put_if_absent(str(name), b"segment", {})
    junk = replace(named(150), attempt=1)  # its header is not kept: it was passed over
    await memory.put_if_absent(str(junk), b"junk", {})
    subjects = [layout.subject_name(named(number), bytes(32)) for number in (4, 60, 300)]
    for each in subjects:
        await made.subjects.inner.create(each, b"tags")  # type: ignore[attr-defined]
    owed = await made.owed()
    assert [name for each in owed for name in each.segments] == left
    assert [len(each.segments) for each in owed] == [2, 1, 10, 10, 5, 1]
    assert [name for each in owed for name in each.subjects] == subjects[:2]
    assert made.inventory.times(FOLDER) <= 5
    assert made.store.times(FOLDER) <= 5
    assert made.store.times(HEADERS) <= 5
    assert made.inventory.kept_of == []


async def test_whether_anything_is_owed_is_told_by_one_of_each_stretch() -> None:
    made = await certified(certificates=3, each=10, standing=0)
    for number in range(30):
        await made.store.inner.put_if_absent(str(named(number)), b"segment", {})  # type: ignore[attr-defined]
    owed = await made.owed(briefly=True)
    assert [each.segments for each in owed] == [[named(0)], [named(10)], [named(20)]]


@dataclass
class Long:
    """A partition of many segments, one an hour, that are all in the log."""

    scene: Scene
    store: Asked
    disposer: Asked
    subjects: Asked

    async def expire(self, count: int) -> None:
        """The first of them are over."""
        await self.scene.at(golden.FIRST_MS + DAYS * DAY_MS + (count - 1) * 3_600_000)
        self.store.listings.clear()  # the notary's


SEGMENTS = 60


@pytest.fixture
async def long(tmp_path: Path) -> Long:
    memory = memory_store()
    stream = replace(stream_of(TOPIC, partitions=1), archive=LOG.key.name)
    maker = ChainMaker(memory, stream, SIGNER)
    await maker.found()
    for number in range(SEGMENTS):
        at = golden.FIRST_MS + number * 3_600_000
        await maker.add(0, OFFSETS, archive=LOG.key.name, first_ts=at, last_ts=at)
    subjects = MemorySubjectStore()
    for number in range(SEGMENTS):
        await subjects.create(layout.subject_name(named(number), bytes(32)), b"tags")
    store, disposer, asked = Asked(memory), Asked(MemoryDisposer(memory)), Asked(subjects)
    scene = Scene(store, asked, disposer, keyring_in(tmp_path), memory.move_clock)  # type: ignore[arg-type]
    await scene.notarise()
    return Long(scene, store, disposer, asked)


async def test_the_store_is_asked_about_what_has_expired_and_nothing_else(long: Long) -> None:
    await long.expire(20)
    plan = await long.scene.survey()
    assert plan.segments == 20
    assert long.disposer.kept_of == [tuple(str(named(each)) for each in range(20))]
    assert long.disposer.listings == []
    assert long.store.times(FOLDER) == 0


async def test_what_is_in_mind_does_not_grow_with_what_has_expired(
    long: Long, monkeypatch: pytest.MonkeyPatch
) -> None:
    gc.collect()
    others = sum(isinstance(each, Logged) for each in gc.get_objects())  # of other tests
    most = 0

    async def looking(logged: Logged) -> str | None:
        nonlocal most
        here = [each for each in gc.get_objects() if isinstance(each, Logged)]
        most = max(most, len(here) - others)
        return None

    monkeypatch.setattr(survey, "ASKED_ABOUT", 8)
    await long.expire(SEGMENTS)
    head = await long.scene.archived.log.head()
    assert head is not None
    look = survey.Survey(
        long.scene.archived, long.scene.tag, DAYS, long.scene.clock_ms, check=looking
    )
    plan = await look.run(head)
    assert [len(each) for each in long.disposer.kept_of] == [8] * 7 + [4]
    asked = [name for each in long.disposer.kept_of for name in each]
    assert asked == [str(named(each)) for each in range(SEGMENTS)]  # each once
    assert 0 < most <= 9
    [found] = plan.stretches()
    assert (found.base, found.next, found.segments) == (0, SEGMENTS * OFFSETS, SEGMENTS)
    logged = [each async for each in survey.logged_segments(long.scene.archived.log, plan.logged)]
    assert found.leaves == leaves_digest((each.name, each.leaf) for each in logged)


async def test_what_is_missing_parts_a_stretch(long: Long) -> None:
    await long.expire(20)
    memory = long.store.inner
    assert isinstance(memory, MemoryWormStore)
    del memory.container.objects[str(named(5))]
    memory.container.names.remove(str(named(5)))
    plan = await long.scene.survey()
    assert plan.blocked == {MISSING: 1}
    assert [(each.base, each.segments) for each in plan.stretches()] == [(0, 5), (60, 14)]
    assert named(4) in Stretches(plan.stretches())
    assert named(5) not in Stretches(plan.stretches())


async def test_a_run_asks_once_about_what_it_removes(long: Long) -> None:
    await long.expire(20)
    await long.scene.approved()
    long.disposer.kept_of.clear()
    [carried] = await long.scene.run()
    assert (carried.removed, carried.owed) == (20, 0)
    assert long.disposer.kept_of == [tuple(str(named(each)) for each in range(20))]
    assert long.disposer.times(FOLDER) <= 4
    assert long.subjects.times(SUBJECTS) <= 4
    assert await long.subjects.names(SUBJECTS) == [
        layout.subject_name(named(each), bytes(32)) for each in range(20, SEGMENTS)
    ]
    assert (await long.store.names(FOLDER))[0] == str(named(20))


async def test_the_lock_is_taken_for_the_certificate_alone(long: Long) -> None:
    """Whoever declares a hold, or erases a person, waits 30 seconds for it."""
    had: set[tuple[str, bool]] = set()

    def note(what: str) -> None:
        try:
            with keyring_lock(long.scene.keyring, wait=0.0):
                had.add((what, False))
        except KeyringError:
            had.add((what, True))

    put, remove = long.store.inner.put_if_absent, long.disposer.inner.remove_expired  # type: ignore[attr-defined]

    async def put_if_absent(name: str, data: bytes, metadata: dict[str, str]) -> object:
        note(name.split("/", maxsplit=1)[0])
        return await put(name, data, metadata)

    async def remove_expired(name: str) -> object:
        note("removing")
        return await remove(name)

    await long.expire(20)
    await long.scene.approved()
    long.store.inner.put_if_absent = put_if_absent  # type: ignore[attr-defined]
    long.disposer.inner.remove_expired = remove_expired  # type: ignore[attr-defined]
    await long.scene.run()
    assert had == {("disposed", False), ("disposals", True), ("removing", False)}


@pytest.mark.parametrize("held", [3, 40])
async def test_a_hold_that_came_while_it_was_looked_is_asked_about_before_the_certificate(
    long: Long, held: int
) -> None:
    """Of what is to go (and it stays) or of anything else: what is not there yet is not known."""
    looks: list[bool] = []

    async def looked() -> None:
        looks.append(True)

    def holds(name: str) -> list[str]:
        return ["h-1"] if len(looks) > 1 and name == str(named(held)) else []

    await long.expire(20)
    await long.scene.approved()
    long.scene.looked, long.scene.held = looked, holds
    [carried] = await long.scene.run()
    assert carried.removed == 20 - (held < 20)
    assert carried.plan is not None
    assert carried.plan.blocked == ({HELD: 1} if held < 20 else {})
    [disposal] = await long.scene.archived.disposed.certificates()
    assert disposal.covers(named(held)) is False
    assert disposal.segments == carried.removed
    assert disposal.stretches == carried.plan.stretches()


async def test_without_a_new_hold_no_segment_is_asked_about_again(
    long: Long, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the lock is not held as long as that would take."""
    passes: list[tuple[int, int]] = []
    whole = survey.logged_segments

    def counted(log: ArchiveLog, part: tuple[int, int]) -> AsyncIterator[Logged]:
        passes.append(part)
        return whole(log, part)

    monkeypatch.setattr(survey, "logged_segments", counted)
    monkeypatch.setattr(purging, "logged_segments", counted)
    long.scene.held = lambda name: ["h-1"] if name == str(named(7)) else []
    await long.expire(20)
    await long.scene.approved()
    passes.clear()
    [carried] = await long.scene.run()
    assert carried.removed == 19
    assert len(passes) == 1


async def test_some_segments_are_read_beside_each_other_before_the_certificate(long: Long) -> None:
    """Nothing of it is kept if the run is cut off: it must not take a week."""
    put, running, most = long.store.inner.put_if_absent, 0, 0  # type: ignore[attr-defined]

    async def put_if_absent(name: str, data: bytes, metadata: dict[str, str]) -> object:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return await put(name, data, metadata)

    await long.expire(20)
    await long.scene.approved()
    long.store.inner.put_if_absent = put_if_absent  # type: ignore[attr-defined]
    [carried] = await long.scene.run()
    assert carried.removed == 20
    assert most == 8

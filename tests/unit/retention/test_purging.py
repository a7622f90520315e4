"""Disposal, whole: what expired goes with a certificate, and everything else still verifies."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.errors import RequestError
from audit_stream.evidence import layout
from audit_stream.evidence.disposal import Stretches
from audit_stream.keys.file import load_keyring
from audit_stream.retention.plan import HELD, KEPT_BY_STORE
from audit_stream.retention.purge import State
from audit_stream.stores.disposal.file import FileDisposer
from audit_stream.stores.disposal.memory import MemoryDisposer
from audit_stream.stores.file import FileStore
from audit_stream.stores.memory_subjects import MemorySubjectStore
from audit_stream.stores.subjects import FileSubjectStore
from audit_stream.verify.report import Verdict
from tests.support import golden
from tests.support.disposing import (
    DAY_MS,
    DAYS,
    LATER_MS,
    CutOff,
    Cuts,
    Scene,
    keyring_in,
    memory_store,
)

SEGMENTS = sorted(each for each in golden.archive_objects() if each.startswith("segments/"))


async def memory_scene(folder: Path) -> Scene:
    store = memory_store()
    scene = Scene(
        store, MemorySubjectStore(), MemoryDisposer(store), keyring_in(folder), store.move_clock
    )
    await scene.fill()
    return scene


async def file_scene(folder: Path) -> Scene:
    store = FileStore(folder / "archive")
    scene = Scene(store, FileSubjectStore(folder / "subjects"), FileDisposer(folder / "archive"),
                  keyring_in(folder), lambda _: None)  # fmt: skip
    await scene.fill()
    return scene


@pytest.fixture(params=["memory", "file"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    made = memory_scene if request.param == "memory" else file_scene
    return await made(tmp_path)


async def test_nothing_goes_before_its_time(scene: Scene) -> None:
    await scene.at(golden.FIRST_MS + DAYS * DAY_MS)  # the first record's time is over, no segment's
    assert (await scene.survey()).segments == 0


async def test_what_expired_goes_and_all_else_verifies(scene: Scene) -> None:
    before = await scene.verified()
    assert before.verdict is Verdict.VERIFIED
    await scene.at(LATER_MS)
    plan = await scene.survey()
    expired = Stretches(plan.stretches())
    assert all(layout.parse_segment_name(name) in expired for name in SEGMENTS)
    assert plan.segments == len(SEGMENTS)
    assert plan.years == (2026,)
    await scene.approved()
    [carried] = await scene.run()
    assert (carried.removed, carried.owed, carried.years) == (len(SEGMENTS), 0, [2026])
    assert carried.purge.state is State.DONE
    names = await scene.store.names("")
    assert not [name for name in names if name.startswith("segments/")]
    assert not await scene.subjects.names("subjects/")
    after = await scene.verified()
    assert after.problems == []
    assert after.verdict is Verdict.VERIFIED
    assert after.disposed == (len(SEGMENTS), before.records)
    assert after.by_partition == before.by_partition
    assert await scene.owed() == []
    ring = load_keyring(scene.keyring).keyring
    assert (ring.years, ring.epoch) == ({}, golden.KEYRING.epoch + 1)
    await scene.at(LATER_MS + 60_000)  # a notary that starts goes on behind what is gone
    log = b"".join(data for name, data in (await scene.objects()).items() if name[:4] == "log/")
    assert log.count(b'"name":"disposals/') == 1  # and logs the certificate
    assert (await scene.verified()).verdict is Verdict.VERIFIED


async def test_cut_off_anywhere_it_is_finished_by_the_next_run(tmp_path: Path) -> None:
    """Before and behind each change to a store or the keyring, in turn."""
    cuts = 0
    for behind in (False, True):
        for at in range(1, 100):
            folder = tmp_path / f"{behind}{at}"
            folder.mkdir()
            scene = await memory_scene(folder)
            await scene.at(LATER_MS)
            await scene.approved()
            try:
                await scene.run(Cuts(at=at, behind=behind))
            except CutOff:
                cuts += 1
            else:
                break
            gone = set(SEGMENTS) - set(await scene.store.names("segments/"))
            certified = await scene.archived.disposed.certificates()
            assert certified or not gone  # no removal without a certificate
            assert (await scene.verified()).problems == []
            if certified and (len(gone) < len(SEGMENTS) or await scene.subjects.names("subjects/")):
                [owed] = await scene.owed()
                assert len(owed.segments) == len(SEGMENTS) - len(gone)
            await scene.run()
            assert len(await scene.archived.disposed.certificates()) == 1
            assert not await scene.store.names("segments/")
            assert not await scene.subjects.names("subjects/")
            assert load_keyring(scene.keyring).keyring.years == {}
            assert (await scene.verified()).verdict is Verdict.VERIFIED
            assert await scene.owed() == []
            assert await scene.purges.to_carry_out() == []
    assert cuts > 2 * (2 * len(SEGMENTS))


async def test_a_hold_blocks_its_segment_and_the_year(scene: Scene) -> None:
    held = SEGMENTS[2]
    await scene.at(LATER_MS)
    await scene.approved()
    scene.held = lambda name: ["h-1"] if name == held else []
    plan = await scene.survey()
    assert (plan.blocked, plan.holds, plan.years) == ({HELD: 1}, {"h-1"}, ())
    [carried] = await scene.run()
    assert carried.removed == len(SEGMENTS) - 1
    assert await scene.store.names("segments/") == [held]
    assert load_keyring(scene.keyring).keyring.years  # what is held needs its key
    assert len(await scene.subjects.names("subjects/")) == 1
    assert (await scene.verified()).problems == []
    scene.held = lambda _: []
    await scene.approved()
    [carried] = await scene.run()
    assert (carried.removed, carried.years) == (1, [2026])
    assert (await scene.verified()).verdict is Verdict.VERIFIED


async def test_a_hold_behind_the_certificate_still_keeps_the_object(tmp_path: Path) -> None:
    scene = await memory_scene(tmp_path)
    await scene.at(LATER_MS)
    await scene.approved()
    with pytest.raises(CutOff):
        await scene.run(Cuts(at=len(SEGMENTS) + 2, behind=True))  # the certificate, and no more
    assert len(await scene.archived.disposed.certificates()) == 1
    await scene.store.set_hold(SEGMENTS[0], True)
    [carried] = await scene.run()
    assert (carried.owed, carried.purge.state) == (1, State.CERTIFIED)
    assert await scene.store.names("segments/") == [SEGMENTS[0]]
    assert load_keyring(scene.keyring).keyring.years
    report = await scene.verified()
    assert report.verdict is Verdict.VERIFIED
    assert "V26: 1 segments are disposed of and still there" in report.notes
    await scene.store.set_hold(SEGMENTS[0], False)
    [carried] = await scene.run()
    assert carried.purge.state is State.DONE


async def test_what_the_store_keeps_longer_stays(tmp_path: Path) -> None:
    scene = await memory_scene(tmp_path)
    await scene.store.extend_retention(SEGMENTS[0], LATER_MS + 1)
    await scene.at(LATER_MS)
    plan = await scene.survey()
    assert plan.blocked == {KEPT_BY_STORE: 1}
    assert plan.segments == len(SEGMENTS) - 1


async def test_a_clock_that_runs_ahead_of_the_log_is_not_believed(scene: Scene) -> None:
    scene.clock_ms = LATER_MS  # no notary says so
    with pytest.raises(RequestError, match="runs ahead"):
        await scene.survey()


async def test_a_second_person_approves(scene: Scene) -> None:
    await scene.at(LATER_MS)
    purge = await scene.approved()
    filed = await scene.purges.change(purge.id, lambda each: each)
    assert filed.approved_by == "officer"
    again = await scene.purges.approve(purge.id, "another", "2034-01-01T00:00:00.000Z")
    assert again.approved_by == "officer"
    for first in ("clerk", "Clerk"):
        with pytest.raises(RequestError, match="second person"):
            await scene.purges.approve(purge.id, first, "2034-01-01T00:00:00.000Z")


async def test_a_segment_that_is_missing_without_a_certificate_is_found(tmp_path: Path) -> None:
    scene = await file_scene(tmp_path)
    await scene.disposer.remove_expired(SEGMENTS[2])
    report = await scene.verified()
    assert {each.step for each in report.problems} >= {"V11", "V17"}


async def test_a_kept_header_alone_excuses_nothing(tmp_path: Path) -> None:
    """Who can remove objects can put headers, which are no secret: the certificate is signed."""
    from audit_stream.evidence.disposal import kept_header
    from audit_stream.evidence.segment import inflate

    scene = await file_scene(tmp_path)
    data = await scene.store.get(SEGMENTS[2])
    name = layout.parse_segment_name(SEGMENTS[2])
    assert data is not None
    assert name is not None
    await scene.store.put_if_absent(layout.disposed_name(name), kept_header(inflate(data, "")), {})
    await scene.disposer.remove_expired(SEGMENTS[2])
    problems = {(each.step, each.name) for each in (await scene.verified()).problems}
    assert ("V26", SEGMENTS[2]) in problems

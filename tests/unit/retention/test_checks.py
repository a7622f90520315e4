"""What is looked at before anything goes, and what a verifier looks at afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audit_stream.errors import FormatError
from audit_stream.evidence import layout
from audit_stream.evidence.disposal import disposal_of, kept_header
from audit_stream.evidence.encoding import time_text
from audit_stream.evidence.register import Entry, Register, decode_entry
from audit_stream.evidence.segment import inflate
from audit_stream.evidence.signing import LineSigner
from audit_stream.keys.file import load_keyring
from audit_stream.retention.plan import NEWER_RECORD, OTHER_CLASS, destroyable
from audit_stream.retention.purge import State
from audit_stream.stores.disposal.memory import MemoryDisposer
from audit_stream.stores.memory_subjects import MemorySubjectStore
from tests.support import golden
from tests.support.chains import ChainMaker, stream_of
from tests.support.disposing import (
    DAY_MS,
    DAYS,
    LATER_MS,
    CutOff,
    Cuts,
    Scene,
    keyring_in,
    memory_store,
    verified,
)
from tests.support.resealed import EMAIL, OBJECTS, name, resigned

SEGMENTS = sorted(each for each in golden.archive_objects() if each.startswith("segments/"))
SIGNER = LineSigner(golden.KEYRING.segment_key or b"")
ONLY = name(EMAIL, 0)  # the one segment of its topic


async def made(folder: Path, objects: dict[str, bytes] | None = None) -> Scene:
    store = memory_store()
    scene = Scene(store, MemorySubjectStore(), MemoryDisposer(store), keyring_in(folder),
                  store.move_clock)  # fmt: skip
    await scene.fill(objects)
    return scene


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    return await made(tmp_path)


async def certified(scene: Scene) -> None:
    """The certificate stands, and nothing is removed yet."""
    await scene.at(LATER_MS)
    await scene.approved()
    with pytest.raises(CutOff):
        await scene.run(Cuts(at=len(SEGMENTS) + 2, behind=True))
    assert len(await scene.archived.disposed.certificates()) == 1
    assert len(await scene.store.names("segments/")) == len(SEGMENTS)


async def late_segment(scene: Scene) -> None:
    """Of the year, stored and not in the log."""
    maker = ChainMaker(scene.store, stream_of("late"), SIGNER)
    await maker.found()
    await maker.add(offsets=1, ledger="a", count=1, first_ts=golden.FIRST_MS, last_ts=LATER_MS)


async def test_the_earlier_one_of_clock_and_log_counts(scene: Scene) -> None:
    over = golden.FIRST_MS + golden.STEP_MS * 300 + DAYS * DAY_MS
    await scene.at(over - 1_800_000)
    scene.clock_ms = over
    assert (await scene.survey()).segments == 0
    await scene.at(over)
    assert (await scene.survey()).segments == len(SEGMENTS)
    scene.clock_ms = over - 1_800_000
    assert (await scene.survey()).segments == 0


async def test_a_hold_of_ours_behind_the_certificate_keeps_object_and_tags(scene: Scene) -> None:
    await certified(scene)
    scene.held = lambda each: ["h-1"] if each == SEGMENTS[0] else []
    [carried] = await scene.run()
    assert carried.owed == 1
    assert await scene.store.names("segments/") == [SEGMENTS[0]]
    [tags] = await scene.subjects.names("subjects/")
    assert tags.split("/")[1] == SEGMENTS[0].split("/")[1]


async def test_a_year_is_kept_as_long_as_the_longest_class(scene: Scene) -> None:
    """Its late records, or those of a backfill, are sealed with the same key."""
    scene.longest_days = DAYS + 365
    await scene.at(LATER_MS)
    await scene.approved()
    [carried] = await scene.run()
    assert (carried.purge.state, carried.years) == (State.DONE, ())
    assert load_keyring(scene.keyring).keyring.years


async def test_what_is_not_in_the_log_keeps_its_year(scene: Scene) -> None:
    await scene.at(LATER_MS)
    assert (await scene.survey()).years == (2026,)
    await late_segment(scene)
    plan = await scene.survey()
    assert plan.segments == len(SEGMENTS)
    assert plan.years == ()


async def test_what_came_behind_the_certificate_keeps_its_year(scene: Scene) -> None:
    await certified(scene)
    await late_segment(scene)
    [carried] = await scene.run()
    assert (carried.removed, carried.years) == (len(SEGMENTS), ())
    assert carried.purge.state is State.CERTIFIED  # the next runs try again
    assert len(await scene.run()) == 1
    assert load_keyring(scene.keyring).keyring.years
    [owed] = await scene.owed()
    assert (owed.segments, list(owed.years)) == ([], [2026])


async def test_records_of_another_class_stay(scene: Scene) -> None:
    """The settings' class is not the one that was sealed."""
    await scene.at(LATER_MS)
    scene.tag = "OTHER"
    await scene.approved()
    [carried] = await scene.run()
    assert carried.plan is not None
    assert carried.plan.blocked == {OTHER_CLASS: len(SEGMENTS)}
    assert len(await scene.store.names("segments/")) == len(SEGMENTS)
    assert await scene.store.names("disposals/") == []


async def test_a_record_that_is_newer_than_its_header_says_stays(tmp_path: Path) -> None:
    """Times may step back within a segment."""
    early = golden.FIRST_MS - DAY_MS
    data = resigned(OBJECTS[ONLY], first_ts=early, last_ts=early)
    scene = await made(tmp_path, golden.archive_objects() | {ONLY: data})
    await scene.at(golden.FIRST_MS + DAYS * DAY_MS)
    [stretch] = (await scene.survey()).stretches()
    assert (stretch.topic, stretch.base, stretch.segments) == (EMAIL, 0, 1)
    await scene.approved()
    [carried] = await scene.run()
    assert carried.plan is not None
    assert carried.plan.blocked == {NEWER_RECORD: 1}
    assert await scene.store.names("disposals/") == []


def ms(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("now", "oldest", "gone"),
    [
        (ms(2036, 1, 1), None, (2026, 2027)),
        (ms(2034, 1, 1), None, ()),  # its margin is not over
        (ms(2034, 2, 11), None, (2026,)),
        (ms(2036, 1, 1), ms(2027, 2, 9), ()),  # too near behind the year's end
        (ms(2036, 1, 1), ms(2027, 2, 10), (2026,)),
        (ms(2036, 1, 1), ms(2026, 1, 1), ()),
    ],
)
def test_a_years_key_goes_when_nothing_can_need_it(
    now: int, oldest: int | None, gone: tuple[int, ...]
) -> None:
    assert destroyable({2026, 2027, 2040}, oldest, now, DAYS) == gone


async def test_a_header_that_is_lost_is_missed(scene: Scene) -> None:
    await scene.at(LATER_MS)
    await scene.approved()
    await scene.run()
    objects = await scene.objects()
    for lost in (each for each in list(objects) if each.startswith("disposed/")):
        problems = verified({n: d for n, d in objects.items() if n != lost}).problems
        found = {(each.step, each.name) for each in problems}
        assert ("V26", Register.DISPOSALS.entry_name(0)) in found, lost


async def test_another_header_than_that_of_the_segment_is_found(scene: Scene) -> None:
    place = layout.parse_segment_name(ONLY)
    assert place is not None
    other = resigned(OBJECTS[ONLY], sealed_at="2026-11-25T09:00:00.000Z")
    kept = layout.disposed_name(place)
    objects = await scene.objects() | {kept: kept_header(inflate(other, "it"))}
    found = {(each.step, each.name) for each in verified(objects).problems}
    assert found == {("V26", kept)}


async def test_a_certificate_says_who_and_they_are_two(scene: Scene) -> None:
    await certified(scene)
    entry_name = Register.DISPOSALS.entry_name(0)
    data = await scene.store.get(entry_name)
    assert data is not None
    disposal = disposal_of(decode_entry(data, entry_name))
    assert (disposal.requested_by, disposal.approved_by) == ("clerk", "officer")
    assert disposal.executed_at == time_text(LATER_MS)
    for good, bad in (
        (b'"approved_by":"officer"', b'"approved_by":"clerk"'),
        (b'"approved_by":"officer"', b'"approved_by":"CLERK"'),
        (b'"years":[2026]', b'"years":["x"]'),
        (b'"regulatory_tag":"C', b'"regulatory_tags":"C'),
        (b'"segments":7', b'"segments":8'),
    ):
        assert good in data
        with pytest.raises(FormatError):
            disposal_of(decode_entry(data.replace(good, bad), entry_name))


async def certificate(scene: Scene) -> Entry:
    entry_name = Register.DISPOSALS.entry_name(0)
    return decode_entry(await scene.store.get(entry_name) or b"", entry_name)


@pytest.mark.parametrize(
    "changes",
    [
        {"retention_days": DAYS + 91},
        {"executed_at": time_text(golden.FIRST_MS + DAYS * DAY_MS)},  # the first record's, no more
    ],
)
async def test_a_certificate_of_more_than_had_expired_is_found(
    scene: Scene, changes: dict[str, object]
) -> None:
    """By its own words: who holds the archive's key and cannot wait."""
    await scene.at(LATER_MS)
    await scene.approved()
    await scene.run()
    entry = await certificate(scene)
    sooner = replace(entry, said=dict(entry.said) | changes)
    found = verified(await scene.objects() | {entry.name: sooner.encode(SIGNER)}).problems
    said = {each.what for each in found if (each.step, each.name) == ("V26", entry.name)}
    assert said
    assert all("before it had expired" in each for each in said)


@pytest.mark.parametrize(
    "changes",
    [
        {"executed_at": "2034"}, {"requested_at": "today"}, {"first": "long ago"}, {"last": ""},
        {"disposal_id": "dc-1"}, {"basis": "a\nb"},
    ],
)  # fmt: skip
async def test_other_members_are_no_certificate(scene: Scene, changes: dict[str, object]) -> None:
    await certified(scene)
    entry = await certificate(scene)
    with pytest.raises(FormatError, match="disposals/"):
        disposal_of(replace(entry, said=dict(entry.said) | changes))


async def test_stretches_of_one_certificate_do_not_overlap(scene: Scene) -> None:
    await certified(scene)
    entry = await certificate(scene)
    stretches = [*entry.said["stretches"], entry.said["stretches"][0]]
    said = dict(entry.said) | {
        "stretches": stretches,
        **{name: sum(each[name] for each in stretches) for name in ("segments", "records")},
    }
    with pytest.raises(FormatError, match="overlap"):
        disposal_of(replace(entry, said=said))

"""Held records whose subject object is away: nobody can say whose they are, so nobody is erased."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.errors import Tampered
from audit_stream.evidence.hold import Kind, Scope
from audit_stream.evidence.layout import SegmentName, parse_subject_name
from audit_stream.holds.active import ActiveHold, ActiveHolds
from tests.support.erasing import ANOTHER, RECORDS, SOMEBODY
from tests.support.keeping import Kept, sources

THEIRS = RECORDS[SOMEBODY][-1]
PLACE, _, OFFSET = THEIRS["source"].rpartition("/")
BY_RECORDS = [Kind.MESSAGE, Kind.RANGE, Kind.WORKFLOW]
VALUES = {
    Kind.MESSAGE: THEIRS["message_uuid"], Kind.RANGE: f"{PLACE}/{OFFSET}-{OFFSET}",
    Kind.WORKFLOW: THEIRS["originating_workflow_id"],
}  # fmt: skip


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def held_by(kind: Kind, value: str) -> ActiveHolds:
    scope = Scope(kind=kind, values=(value,))
    return ActiveHolds([ActiveHold(hold_id="h-1", scope=scope)])


def unlink(kept: Kept) -> SegmentName:
    """Remove the subject object of the segment that the record is in, as the runbook has it."""
    topic, generation, partition = PLACE.split("/")
    places = [
        (name, parsed[0]) for name in kept.subjects.names_sync("subjects/")
        if (parsed := parse_subject_name(name)) is not None
    ]  # fmt: skip
    name, place = max(
        (name, place) for name, place in places
        if (place.topic, place.generation, place.partition)
        == (topic, int(generation), int(partition)) and place.base <= int(OFFSET)
    )  # fmt: skip
    stored = kept.subjects.get_sync(name)
    assert stored is not None
    assert kept.subjects.remove_sync(name, stored.etag)
    return place


@pytest.mark.parametrize("kind", BY_RECORDS)
async def test_a_hold_stands_against_everybody_where_nobody_can_say_whose_the_record_is(
    kept: Kept, kind: Kind
) -> None:
    place = unlink(kept)
    kept.active = held_by(kind, VALUES[kind])
    await kept.file("R-1", SOMEBODY)
    await kept.file("R-2", ANOTHER)
    assert (await kept.run()).held == {"R-1": ["h-1"], "R-2": ["h-1"]}
    assert kept.erased() == set()
    [alarm] = kept.alarms.open()
    assert alarm["key"] == "unlinked:subjects"
    assert f"{place} (h-1)" in alarm["summary"]
    kept.active = ActiveHolds()  # released
    await kept.run()
    assert kept.erased() == sources(SOMEBODY, ANOTHER)
    assert kept.alarms.open() == []


@pytest.mark.parametrize(("kind", "value"), [
    (Kind.MESSAGE, "no-such-message"), (Kind.RANGE, f"{PLACE}/9000000-9000001"),
    (Kind.RANGE, "another-topic/1/0/0-9000001"),
])  # fmt: skip
async def test_a_hold_on_something_else_stands_against_nobody(
    kept: Kept, kind: Kind, value: str
) -> None:
    unlink(kept)
    kept.active = held_by(kind, value)
    await kept.file("R-1", SOMEBODY)
    await kept.run()
    assert kept.erased() == sources(SOMEBODY)
    assert kept.alarms.open() == []


@pytest.mark.parametrize("kind", BY_RECORDS)
async def test_who_is_held_by_name_holds_nobody_else(kept: Kept, kind: Kind) -> None:
    unlink(kept)
    by_name = Scope(kind=Kind.CUSTOMER, commitment="00" * 32)
    elsewhere = Scope(kind=kind, values=(VALUES[kind].replace(PLACE, "another-topic/1/0") + "0",))
    kept.active = ActiveHolds([
        ActiveHold(hold_id="h-1", scope=by_name, tags=frozenset({SOMEBODY})),
        ActiveHold(hold_id="h-2", scope=elsewhere),
    ])  # fmt: skip
    await kept.file("R-1", SOMEBODY)
    await kept.file("R-2", ANOTHER)
    assert (await kept.run()).held == {"R-1": ["h-1"]}
    assert kept.erased() == sources(ANOTHER)


async def test_junk_under_a_segments_name_holds_nobody(kept: Kept) -> None:
    """Whoever may write to the archive could stop every erasure with it."""
    place = unlink(kept)
    junk = SegmentName(place.topic, place.generation, place.partition, 9_000_000)
    await kept.store.put_if_absent(str(junk), b"junk", {})
    kept.active = held_by(Kind.MESSAGE, "no-such-message")
    await kept.file("R-1", ANOTHER)
    assert len((await kept.run()).certified) == 1


async def test_a_segment_that_cannot_be_looked_into_stops_the_erasure(kept: Kept) -> None:
    """Its stream object is gone: nobody can say whether what is held is in it."""
    stray = SegmentName("another-topic", 1, 0, 0)
    await kept.store.put_if_absent(str(stray), b"junk", {})
    kept.active = held_by(Kind.MESSAGE, "no-such-message")
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(Tampered, match="another-topic"):
        await kept.run()
    assert kept.ring.keyring.epoch == 1


async def test_subject_objects_are_listed_once(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink(kept)
    kept.active = held_by(Kind.RANGE, VALUES[Kind.RANGE])
    listing, asked = kept.subjects.names, list[str]()

    async def names(prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        asked.append(prefix)
        return await listing(prefix, after=after, limit=limit)

    monkeypatch.setattr(kept.subjects, "names", names)
    await kept.file("R-1", SOMEBODY)
    asked.clear()
    await kept.run()
    assert asked.count("subjects/") == 2  # a page, and that there is no other one

"""What others do while a purge is filed, prepared and carried out: hold, withdraw, dispose of more,
keep the class longer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import RequestError
from audit_stream.evidence import layout
from audit_stream.keys.file import load_keyring
from audit_stream.retention.plan import HELD
from audit_stream.retention.purge import State
from audit_stream.stores.disposal.memory import MemoryDisposer
from audit_stream.stores.memory_subjects import MemorySubjectStore
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


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    store = memory_store()
    made = Scene(store, MemorySubjectStore(), MemoryDisposer(store), keyring_in(tmp_path),
                 store.move_clock)  # fmt: skip
    await made.fill()
    await made.at(LATER_MS)
    return made


async def certified_names(scene: Scene) -> set[str]:
    """Of the segments that certificates cover."""
    names = {name: layout.parse_segment_name(name) for name in SEGMENTS}
    disposals = await scene.archived.disposed.certificates()
    return {
        name for name, place in names.items()
        if place is not None and any(each.covers(place) for each in disposals)
    }  # fmt: skip


async def test_a_hold_filed_while_the_headers_are_put_is_before_the_certificate(
    scene: Scene,
) -> None:
    """A gateway files without the keyring's lock, and says that it holds from then on."""
    await scene.approved()
    names = scene.store.names
    filed: list[bool] = []

    async def held_since_the_first_header() -> None:
        filed[:] = [True] if await names("disposed/") else []

    scene.looked = held_since_the_first_header
    scene.held = lambda name: ["h-1"] if filed and name == SEGMENTS[2] else []
    [carried] = await scene.run()
    assert carried.plan is not None
    assert carried.plan.blocked == {HELD: 1}
    assert await certified_names(scene) == set(SEGMENTS) - {SEGMENTS[2]}
    assert await scene.store.names("segments/") == [SEGMENTS[2]]
    assert load_keyring(scene.keyring).keyring.years
    assert (await scene.verified()).problems == []


async def test_a_hold_behind_one_purges_certificate_keeps_the_year_from_another_purge(
    scene: Scene,
) -> None:
    first = SEGMENTS[0]
    scene.held = lambda name: [] if name == first else ["h-1"]
    await scene.approved()  # of the one segment
    with pytest.raises(CutOff):
        await scene.run(Cuts(at=3, behind=True))  # header, at work, certificate
    assert await certified_names(scene) == {first}
    scene.held = lambda name: ["h-2"] if name == first else []
    await scene.approved()  # of all the others
    await scene.run()
    assert await scene.store.names("segments/") == [first]
    assert load_keyring(scene.keyring).keyring.years  # what is held can still be opened
    scene.held = lambda _: []
    await scene.run()
    assert await scene.store.names("segments/") == []
    assert (await scene.verified()).verdict is Verdict.VERIFIED


async def test_a_purge_that_was_withdrawn_while_it_was_prepared_is_not_carried_out(
    scene: Scene,
) -> None:
    purge = await scene.approved()
    purges = scene.purges

    async def withdraw() -> None:
        await purges.withdraw(purge.id)

    scene.looked = withdraw
    [carried] = await scene.run()
    assert carried.purge.state is State.WITHDRAWN
    assert await certified_names(scene) == set()
    assert len(await scene.store.names("segments/")) == len(SEGMENTS)


async def test_what_is_at_work_cannot_be_withdrawn(scene: Scene) -> None:
    purge = await scene.approved()
    with pytest.raises(CutOff):
        await scene.run(Cuts(at=len(SEGMENTS) + 1, behind=True))  # no certificate yet
    assert await certified_names(scene) == set()
    with pytest.raises(RequestError, match="cannot be undone"):
        await scene.purges.withdraw(purge.id)
    scene.held = lambda _: ["h-1"]
    [carried] = await scene.run()
    assert carried.purge.state is State.APPROVED  # all of it is held by now: it may be withdrawn
    scene.held = lambda _: []
    [carried] = await scene.run()
    assert carried.purge.state is State.DONE


async def test_of_two_purges_of_the_same_the_second_ends_without_a_certificate(
    scene: Scene,
) -> None:
    await scene.approved()
    await scene.approved()
    carried = await scene.run()
    assert [each.purge.state for each in carried] == [State.DONE, State.DONE]
    assert [each.purge.certificate for each in carried] == [0, None]
    assert len(await scene.archived.disposed.certificates()) == 1
    assert await scene.purges.to_carry_out() == []


@pytest.mark.parametrize("left", [None, State.FILED, State.WITHDRAWN])
async def test_what_a_certificate_owes_is_removed_whatever_became_of_its_purge(
    scene: Scene, left: State | None
) -> None:
    """The private object is gone, or an older one was put back: the certificate counts."""
    purge = await scene.approved()
    with pytest.raises(CutOff):
        await scene.run(Cuts(at=len(SEGMENTS) + 2, behind=True))
    private = PrivateObjects(scene.subjects, golden.KEYRING.index_key)
    kept = await private.get(purge.name)
    assert kept is not None
    if left is None:
        await private.remove(kept)
    else:
        await private.replace(kept, replace(purge, state=left, approved_by=None).encode())
    [carried] = await scene.run()
    assert (carried.removed, carried.purge.state) == (len(SEGMENTS), State.DONE)
    assert (carried.purge.requested_by, carried.purge.approved_by) == ("clerk", "officer")
    assert await scene.owed() == []
    assert await scene.run() == []


async def test_what_is_kept_longer_by_now_stays(scene: Scene) -> None:
    """The class's time was made longer behind the approval."""
    await scene.approved()
    scene.days = DAYS + 365
    [carried] = await scene.run()
    assert (carried.removed, carried.purge.state) == (0, State.APPROVED)
    assert len(await scene.store.names("segments/")) == len(SEGMENTS)
    await scene.at(LATER_MS + 365 * DAY_MS)
    [carried] = await scene.run()
    assert carried.purge.state is State.DONE
    [disposal] = await scene.archived.disposed.certificates()
    assert disposal.retention_days == DAYS + 365


async def test_a_class_that_is_kept_shorter_by_now_is_kept_as_it_was_approved(
    scene: Scene,
) -> None:
    await scene.approved()
    scene.days = 1
    await scene.run()
    [disposal] = await scene.archived.disposed.certificates()
    assert disposal.retention_days == DAYS

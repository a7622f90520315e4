"""Erasures that race with people, other keepers, keyrings from backups, folders that are away."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from audit_stream.archive.fleet import newest_epoch_told
from audit_stream.erasure import returning
from audit_stream.erasure.barrier import excuse
from audit_stream.erasure.batch import JOURNAL
from audit_stream.erasure.request import OPEN, Request, State, decode_request, request_id
from audit_stream.erasure.returning import bring_back
from audit_stream.errors import BarrierError, KeyringError, RequestError
from audit_stream.keys.file import load_keyring, write_view
from audit_stream.privacy.derivation import TagMaker
from audit_stream.privacy.keytree import Cover, path_of
from audit_stream.privacy.subjects import tags_of, tree_at
from tests.support import golden
from tests.support.erasing import ANOTHER, SOMEBODY
from tests.support.keeping import Kept, Kill, Killed, sources

BACK = ("t1", "external", "CUST_back")
TAG = TagMaker(golden.KEYRING.trees[0].pepper).tag(BACK)


@dataclass
class At:
    """Does something at a step."""

    step: str
    when: str
    work: Callable[[], bool]

    def __call__(self, step: str, when: str) -> None:
        if (step, when) == (self.step, self.when):
            assert self.work()


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


async def withdrawn_halfway(kept: Kept, ref: str) -> None:
    """As a withdrawal leaves it that was cut off, or is just between its two writes."""
    name = OPEN + request_id(ref)
    await kept.private.update(
        name, lambda value: decode_request(value or {}, name).withdrawn().encode()
    )


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("held", [True, False])
async def test_who_is_withdrawn_while_the_holds_are_asked_is_not_erased(
    kept: Kept, whole: bool, held: bool
) -> None:
    """Asking the holds may read the whole archive: a request must not be at work since before."""
    await kept.file("R-1", SOMEBODY)
    await kept.file("R-2", ANOTHER)
    place = kept.installation()
    asked = place.holds_against

    async def withdrawing(requests: Sequence[Request]) -> Mapping[str, Sequence[str]]:
        await (kept.requests.withdraw("R-1") if whole else withdrawn_halfway(kept, "R-1"))
        found = dict(await asked(requests))
        return found | {"R-1": ["h-1"]} if held else found

    kept.place = replace(place, holds_against=withdrawing)
    ran = await kept.run()
    assert [each.said["request_ref"] for each in ran.certified] == ["R-2"]
    assert kept.erased() == sources(ANOTHER)
    request = await kept.requests.get("R-1")
    assert request is not None
    assert (request.state, request.tags) == (State.WITHDRAWN, ())
    assert (await kept.run()).certified == ()


async def test_a_hold_that_is_filed_while_the_holds_are_asked_stands(kept: Kept) -> None:
    """A gateway files it without any lock, and says that it holds from now on."""
    await kept.file("R-1", SOMEBODY)
    await kept.file("R-2", ANOTHER)
    place = kept.installation()
    asked = place.holds_against

    async def asking(requests: Sequence[Request]) -> Mapping[str, Sequence[str]]:
        found = await asked(requests)
        kept.held = {"R-1": ["h-1"]}  # behind its looking
        return found

    kept.place = replace(place, holds_against=asking)
    ran = await kept.run()
    assert [each.said["request_ref"] for each in ran.certified] == ["R-2"]
    assert ran.held == {"R-1": ["h-1"]}
    assert kept.erased() == sources(ANOTHER)
    request = await kept.requests.get("R-1")
    assert request is not None
    assert (request.state, request.held_by) == (State.HELD, ("h-1",))


async def test_a_view_that_may_still_have_the_old_cover_stops_the_certificate(kept: Kept) -> None:
    """Nobody has it loaded; but whoever reads that folder can open the erased."""
    view = kept.folder / "view/keyring.json"
    write_view(kept.ring, kept.path, "gateway", view.parent)
    kept.views = [view]
    away = view.parent.with_name("away")
    view.parent.rename(away)
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(KeyringError, match="old cover"):
        await kept.run()
    assert await kept.certificates() == []
    assert [alarm["key"] for alarm in kept.alarms.open()] == [f"keyring:view:{view}"]
    away.rename(view.parent)
    await kept.run()
    assert len(await kept.certificates()) == 1
    assert [each.name for each in view.parent.glob("cover-*")] == ["cover-1-2.bin"]


async def test_nobody_returns_by_a_keyring_from_before(kept: Kept) -> None:
    """It would lead the views, and all who follow them, to a cover that opens the erased."""
    view = kept.folder / "view/keyring.json"
    write_view(kept.ring, kept.path, "worker", view.parent)
    kept.views = [view]
    await kept.file("R-1", TAG)
    await kept.run()
    backup = kept.folder / "backup"
    shutil.copytree(kept.path.parent, backup)
    await kept.file("R-2", SOMEBODY)
    await kept.run()
    for each in backup.glob("[ck]*"):
        shutil.copy(each, kept.path.parent)
    with pytest.raises(KeyringError, match="older keyring"):
        await bring_back(kept.installation(), "customer", BACK[2], BACK[0])
    assert Cover(load_keyring(view).cover).find(path_of(SOMEBODY)) is None
    assert await newest_epoch_told(kept.private) == 3


async def test_a_return_that_was_cut_off_is_told_to_everybody_by_the_next_run(kept: Kept) -> None:
    view = kept.folder / "view/keyring.json"
    write_view(kept.ring, kept.path, "worker", view.parent)
    await kept.file("R-1", TAG)
    kept.views = [view]
    await kept.run()
    kept.views = []  # as if it had ended before it came to them
    await bring_back(kept.installation(), "customer", BACK[2], BACK[0])
    kept.views = [view]
    assert load_keyring(view).keyring.epoch == 2
    await kept.run()
    assert load_keyring(view).keyring.epoch == 3
    assert load_keyring(view).keyring.returned == kept.ring.keyring.returned


@pytest.mark.parametrize("approved", [True, False])
async def test_nobody_returns_while_their_erasure_is_asked_for(kept: Kept, approved: bool) -> None:
    """Its tags were taken before: it would not reach what comes after the return."""
    await kept.file("R-1", TAG)
    await kept.run()
    await kept.file("R-2", TAG, approved=approved)
    with pytest.raises(RequestError, match="R-2"):
        await bring_back(kept.installation(), "customer", BACK[2], BACK[0])
    await kept.requests.withdraw("R-2")
    assert await bring_back(kept.installation(), "customer", BACK[2], BACK[0]) == 1


async def test_what_was_looked_up_before_a_return_is_not_filed_behind_it(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tags are those of before; and whoever of the two comes second says so."""
    await kept.file("R-1", TAG)
    await kept.run()
    request = await kept.file("R-2", TAG, approved=False)
    await kept.requests.withdraw("R-2")
    assert await bring_back(kept.installation(), "customer", BACK[2], BACK[0]) == 1
    late = replace(request, ref="R-3")
    with pytest.raises(RequestError, match="keys were renewed"):
        await kept.requests.file(late, epoch=2)
    assert await kept.requests.naming([TAG]) == []
    assert (await kept.requests.file(replace(late, ref="R-4"), epoch=3)).state is State.FILED

    await kept.requests.withdraw("R-4")
    await kept.file("R-5", *tags_of_back(kept))
    await kept.run()
    moving, filed = returning.advance, list[Request]()

    def overtaken(*args: Any, **more: Any) -> Any:
        filed.append(asyncio.run(kept.requests.file(replace(late, ref="R-6"), epoch=4)))
        return moving(*args, **more)

    monkeypatch.setattr(returning, "advance", overtaken)
    with pytest.raises(RequestError, match="R-6"):
        await bring_back(kept.installation(), "customer", BACK[2], BACK[0])
    assert len(filed) == 1


def tags_of_back(kept: Kept) -> Sequence[bytes]:
    ring = kept.ring.keyring
    return tags_of(ring, BACK, tree_at(ring, ring.epoch))


async def test_an_excuse_is_for_the_erasure_at_work_alone(kept: Kept) -> None:
    """A process that was given up and came back must not be passed over by the next one."""
    worker = await kept.member()
    process = worker.member.process
    with pytest.raises(RequestError, match=f"no erasure waits for the process {process}"):
        await excuse(kept.private, process, "operator", "before anything was erased")
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(BarrierError, match=process):
        await kept.run()
    await excuse(kept.private, process, "operator", "does not answer")
    await worker.loaded(2)  # it does
    await kept.run()
    await kept.file("R-2", ANOTHER)
    with pytest.raises(BarrierError, match=process):
        await kept.run()
    assert [each.barrier["excused"] for each in await kept.certificates()] == [[]]


async def test_a_cover_counts_as_unlinked_from_when_it_was(kept: Kept) -> None:
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(Killed):
        await kept.run(Kill("destroyed", "between"))
    assert (kept.path.parent / "cover-1.bin").exists()
    kept.now = "2026-11-27T08:00:00.000Z"
    await kept.run()
    [certificate] = await kept.certificates()
    assert certificate.keys_destroyed_at == certificate.executed_at == kept.now


async def test_what_a_restore_left_that_was_cut_off_is_gone_before_the_certificate(
    kept: Kept,
) -> None:
    """It opens everybody who was erased since, as an old cover does."""
    left = [kept.path.with_name(f".{name}.restoring") for name in ("cover-1.bin", kept.path.name)]
    for each, copied in zip(left, (kept.path.with_name("cover-1.bin"), kept.path), strict=True):
        shutil.copy(copied, each)
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(Killed):
        await kept.run(Kill("certified", "before"))
    assert not [each for each in left if each.exists()]
    await kept.run()
    [certificate] = await kept.certificates()
    assert certificate.keys_destroyed == "file-unlinked"


async def test_a_batch_of_another_keeper_is_not_overwritten(kept: Kept) -> None:
    """One with a copy of the keyring, on another machine, where no lock of ours holds it."""
    await kept.file("R-1", SOMEBODY)

    with pytest.raises(Killed):
        await kept.run(Kill("taken", "after"))
    journal = kept.subjects.get_sync(JOURNAL)
    assert journal is not None
    theirs = journal.data
    assert kept.subjects.remove_sync(JOURNAL, journal.etag)
    await kept.file("R-2", ANOTHER)
    with pytest.raises(KeyringError, match="another keeper"):
        await kept.run(At("taken", "before", lambda: kept.subjects.create_sync(JOURNAL, theirs)))
    assert kept.ring.keyring.epoch == 1
    stands = kept.subjects.get_sync(JOURNAL)
    assert stands is not None
    assert stands.data == theirs


async def test_a_journal_that_somebody_took_away_is_not_written_anew(kept: Kept) -> None:
    await kept.file("R-1", SOMEBODY)

    def take_away() -> bool:
        journal = kept.subjects.get_sync(JOURNAL)
        assert journal is not None
        return kept.subjects.remove_sync(JOURNAL, journal.etag)

    with pytest.raises(KeyringError, match="another keeper"):
        await kept.run(At("counted", "before", take_away))
    await kept.run()  # erased they are: their certificate comes with the next epoch
    [certificate] = await kept.certificates()
    assert certificate.epochs == [2, 3]
    assert kept.erased() == sources(SOMEBODY)

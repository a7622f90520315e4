"""The keeper: whatever ends a run, the next one finishes it, and each certificate is given once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from audit_stream.archive.fleet import newest_epoch_told
from audit_stream.erasure.barrier import excuse
from audit_stream.erasure.batch import JOURNAL
from audit_stream.erasure.certifying import CERTIFIED
from audit_stream.erasure.counting import erased_name
from audit_stream.erasure.opening import take_opening
from audit_stream.erasure.request import State
from audit_stream.erasure.returning import bring_back
from audit_stream.erasure.sweeping import sweep
from audit_stream.errors import BarrierError, KeyringError, RequestError, Tampered
from audit_stream.evidence.hold import Kind, Scope
from audit_stream.evidence.redaction import opens
from audit_stream.evidence.register import Register
from audit_stream.holds.active import ActiveHold, ActiveHolds
from audit_stream.keys.file import load_cover, load_keyring, write_view
from audit_stream.keys.lock import RUN_FILE, keyring_lock
from audit_stream.privacy.derivation import TagMaker
from audit_stream.privacy.keytree import Cover, path_of
from audit_stream.privacy.subject_object import open_tags
from audit_stream.privacy.subjects import KeyDeriver, tags_of
from tests.support import golden
from tests.support.erasing import ANOTHER, INDEX_KEY, RECORDS, SOMEBODY, sealed
from tests.support.keeping import AT, Kept, Kill, Killed, sources

KILLS = [
    ("taken", "before"), ("taken", "after"), ("punctured", "before"), ("punctured", "between"),
    ("punctured", "after"), ("passed", "before"), ("passed", "after"), ("counted", "before"),
    ("counted", "after"), ("zeroed", "before"), ("zeroed", "after"), ("destroyed", "before"),
    ("destroyed", "between"), ("destroyed", "after"), ("notified", "before"),
    ("notified", "after"), ("certified", "before"), ("certified", "between"),
    ("certified", "after"),
]  # fmt: skip


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


async def test_a_person_is_erased_and_everything_still_verifies(kept: Kept) -> None:
    await kept.file("R-1", SOMEBODY)
    [entry] = (await kept.run()).certified
    [certificate] = await kept.certificates()
    assert kept.erased() == sources(SOMEBODY)
    assert kept.problems() == []
    assert (certificate.count, certificate.request_ref) == (len(RECORDS[SOMEBODY]), "R-1")
    assert (certificate.epochs, certificate.keys_destroyed) == ([1, 2], "file-unlinked")
    assert certificate.effective_at == "2026-12-04T08:00:00.000Z"  # what topics may still hold
    assert SOMEBODY.hex().encode() not in entry.line()
    request = await kept.requests.get("R-1")
    assert request is not None
    assert (request.state, request.tags, request.certificate) == (State.DONE, (), 0)
    assert sorted(path.name for path in kept.path.parent.glob("cover*")) == ["cover-1-2.bin"]
    assert (await newest_epoch_told(kept.private), kept.destroyed) == (2, [1])
    assert kept.published == [entry]


@pytest.mark.parametrize(("step", "when"), KILLS)
async def test_a_run_that_was_ended_is_finished_by_the_next(
    kept: Kept, step: str, when: str
) -> None:
    await kept.file("R-1", SOMEBODY)
    await kept.file("R-2", ANOTHER)
    with pytest.raises(Killed):
        await kept.run(Kill(step, when))
    await kept.run()
    assert (await kept.run()).certified == ()
    certificates = await kept.certificates()
    assert Counter(each.request_ref for each in certificates) == {"R-1": 1, "R-2": 1}
    assert kept.ring.keyring.epoch == 2
    assert kept.erased() == sources(SOMEBODY, ANOTHER)
    assert kept.problems() == []
    assert {SOMEBODY, ANOTHER}.isdisjoint(golden_tags(kept))
    assert JOURNAL not in kept.private_names()
    for certificate, tag in zip(certificates, (SOMEBODY, ANOTHER), strict=True):
        assert await opened_by(kept, certificate.request_ref) == len(RECORDS[tag])


def golden_tags(kept: Kept) -> set[bytes]:
    """Every tag in some subject object."""
    found: set[bytes] = set()
    for name in kept.subjects.names_sync("subjects/"):
        stored = kept.subjects.get_sync(name)
        assert stored is not None
        found.update(open_tags(INDEX_KEY, name, stored.data))
    return found


async def opened_by(kept: Kept, ref: str) -> int:
    """How many records the opening shows a certificate to be about."""
    given: list[dict[str, object]] = []
    await take_opening(kept.private, kept.requests, ref, "privacy", given.append)
    [value] = given
    certificate = next(c for c in await kept.certificates() if c.request_ref == ref)
    hashes = [bytes.fromhex(each) for each in value["hashes"]]  # type: ignore[attr-defined]
    assert opens(certificate, bytes.fromhex(str(value["secret"])), hashes)
    assert not opens(certificate, bytes(32), hashes)
    return len(hashes)


async def test_an_opening_is_given_once_and_to_who_asked(kept: Kept) -> None:
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(RequestError, match="not carried out"):
        await opened_by(kept, "R-1")
    await kept.run()
    with pytest.raises(RequestError, match="counsel filed"):
        await take_opening(kept.private, kept.requests, "R-1", "counsel", lambda _: None)
    await opened_by(kept, "R-1")
    with pytest.raises(RequestError, match="once"):
        await opened_by(kept, "R-1")


async def test_an_opening_that_nobody_comes_for_is_removed(kept: Kept) -> None:
    await kept.file("R-1", SOMEBODY)
    await kept.run()
    kept.now = "2026-12-25T00:00:00.000Z"
    await kept.run()
    assert any("openings" in name for name in kept.private_names())
    kept.now = "2026-12-27T00:00:00.000Z"
    await kept.run()
    assert not any("openings" in name for name in kept.private_names())


async def test_a_clock_that_is_ahead_takes_no_opening_away(kept: Kept) -> None:
    """Nobody could ever show again what the certificate is about."""
    await kept.file("R-1", SOMEBODY)
    await kept.run()
    await kept.logged("2026-12-20T00:00:00.000Z")
    kept.now = "2027-03-01T00:00:00.000Z"
    await kept.run()
    assert any("openings" in name for name in kept.private_names())
    await kept.logged("2026-12-27T00:00:00.000Z")
    await kept.run()
    assert not any("openings" in name for name in kept.private_names())


@pytest.mark.parametrize("known", [True, False])
async def test_a_clock_that_stepped_back_makes_no_certificate_that_is_out_of_order(
    kept: Kept, known: bool
) -> None:
    """The archive would never verify again."""
    await kept.file("R-1", SOMEBODY)
    await kept.run()
    if not known:  # where the last batch ended is a note, and may be lost
        await kept.private.discard(CERTIFIED)
    kept.now = "2026-11-25T08:00:00.000Z"
    await kept.file("R-2", ANOTHER)
    await kept.run()
    assert kept.problems() == []
    one, two = await kept.certificates()
    assert one.executed_at == two.executed_at == AT
    assert two.effective_at == one.effective_at
    assert two.keys_destroyed_at == kept.now


async def test_a_certificate_that_was_taken_away_is_found_before_the_next_one(kept: Kept) -> None:
    await kept.file("R-1", SOMEBODY)
    await kept.run()
    (kept.folder / "archive" / Register.REDACTIONS.entry_name(0)).unlink()
    await kept.file("R-2", ANOTHER)
    with pytest.raises(Tampered, match=r"redactions/0+\.json"):
        await kept.run()


async def test_a_run_reads_what_is_open_only(kept: Kept) -> None:
    for ref in ("R-1", "R-2", "R-3"):
        await kept.file(ref, SOMEBODY)
    await kept.requests.withdraw("R-3")
    await kept.run()
    names = [name for name in kept.private_names() if "requests" in name]
    assert len(names) == 3
    assert all("/closed/" in name for name in names)
    assert [each.state for each in await kept.requests.all()] == [
        State.DONE, State.DONE, State.WITHDRAWN,
    ]  # fmt: skip
    assert (await kept.file("R-1", SOMEBODY)).state is State.DONE  # repeated


async def test_what_is_not_approved_is_not_carried_out(kept: Kept) -> None:
    await kept.file("R-1", SOMEBODY, approved=False)
    assert (await kept.run()).certified == ()
    assert kept.erased() == set()


async def test_who_has_no_records_and_who_was_erased_before_get_a_certificate_too(
    kept: Kept,
) -> None:
    stranger = bytes(range(16))
    await kept.file("R-1", SOMEBODY)
    await kept.run()
    await kept.file("R-2", stranger)
    await kept.file("R-3", SOMEBODY)
    await kept.run()
    assert [each.count for each in await kept.certificates()] == [len(RECORDS[SOMEBODY]), 0, 0]
    ring = kept.ring
    assert Cover(ring.cover).find(path_of(stranger)) is None  # and never will have a key


async def test_a_hold_queues_the_request_and_says_why(kept: Kept) -> None:
    kept.held["R-1"] = ["h-1"]
    await kept.file("R-1", SOMEBODY)
    await kept.file("R-2", ANOTHER)
    ran = await kept.run()
    assert ran.held == {"R-1": ["h-1"]}
    assert kept.erased() == sources(ANOTHER)
    request = await kept.requests.get("R-1")
    assert request is not None
    assert (request.state, request.held_by) == (State.HELD, ("h-1",))
    kept.held.clear()
    await kept.run()
    assert kept.erased() == sources(SOMEBODY, ANOTHER)


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_hold_by_anything_stands_against_whom_it_holds(kept: Kept, kind: Kind) -> None:
    theirs = RECORDS[SOMEBODY][-1]
    place, _, offset = theirs["source"].rpartition("/")
    value = {
        Kind.MESSAGE: theirs["message_uuid"], Kind.RANGE: f"{place}/{offset}-{offset}",
        Kind.WORKFLOW: theirs["originating_workflow_id"],
    }.get(kind)  # fmt: skip
    by_customer = value is None
    scope = Scope(kind=kind, commitment="00" * 32) if by_customer else Scope(
        kind=kind, values=(str(value),)
    )  # fmt: skip
    tags = frozenset({SOMEBODY} if by_customer else ())
    kept.active = ActiveHolds([ActiveHold(hold_id="h-1", scope=scope, tags=tags)])
    await kept.file("R-1", SOMEBODY)
    await kept.file("R-2", ANOTHER)
    ran = await kept.run()
    assert (ran.held or {})["R-1"] == ["h-1"]
    if kind is not Kind.WORKFLOW:  # others may be of the same
        assert kept.erased() == sources(ANOTHER)
    kept.active = ActiveHolds()
    await kept.run()
    assert kept.erased() == sources(SOMEBODY, ANOTHER)


@pytest.mark.parametrize("step", [("taken", "after"), ("punctured", "before")])
async def test_a_hold_that_came_after_a_crash_before_the_puncture_stands(
    kept: Kept, step: tuple[str, str]
) -> None:
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(Killed):
        await kept.run(Kill(*step))
    kept.held["R-1"] = ["h-1"]
    assert (await kept.run()).held == {"R-1": ["h-1"]}
    assert kept.erased() == set()
    kept.held.clear()
    await kept.run()
    assert kept.erased() == sources(SOMEBODY)
    assert len(await kept.certificates()) == 1


async def test_who_holds_the_old_keys_is_waited_for(kept: Kept) -> None:
    worker = await kept.member()
    kept.group = [(worker.member.process, None)]
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(BarrierError, match=worker.member.process):
        await kept.run()
    assert await kept.certificates() == []
    assert kept.erased() == sources(SOMEBODY)  # the keyring opens them no more all the same
    assert [alarm["key"] for alarm in kept.alarms.open()] == ["erasure:barrier"]
    await worker.loaded(2)
    await kept.run()
    [certificate] = await kept.certificates()
    assert certificate.barrier == {"acknowledged": 1, "excused": []}
    assert kept.alarms.open() == []


@pytest.mark.parametrize("role", ["worker", "gateway"])
async def test_who_is_gone_is_excused_by_a_person_and_that_is_certified(
    kept: Kept, role: str
) -> None:
    gone = await kept.member(role, epoch=0)  # it was loading its keys when it was last heard of
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(BarrierError, match="redact excuse"):
        await kept.run()
    await excuse(kept.private, gone.member.process, "operator", "the machine was scrapped")
    await kept.run()
    [certificate] = await kept.certificates()
    assert certificate.barrier["excused"] == [{
        "by": "operator", "process": gone.member.process, "reason": "the machine was scrapped",
        "role": role,
    }]  # fmt: skip
    assert not any("fleet" in name or "excused" in name for name in kept.private_names())


async def test_a_member_of_the_group_that_never_registered_blocks(kept: Kept) -> None:
    kept.group = [("faust-0.15-something", None)]
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(BarrierError, match="not registered"):
        await kept.run()


async def test_a_static_member_is_the_process_that_came_last_under_its_name(kept: Kept) -> None:
    before = await kept.member(name="pod-0")
    worker = await kept.member(name="pod-0", since="2026-11-26T09:00:00.000Z")
    assert worker.member.since > before.member.since
    await before.leave()
    kept.group = [(before.member.process, "pod-0")]  # the broker has the client's name of then
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(BarrierError, match=worker.member.process):
        await kept.run()
    await worker.loaded(2)
    await kept.run()
    [certificate] = await kept.certificates()
    assert certificate.barrier == {"acknowledged": 1, "excused": []}


async def test_a_clock_that_was_ahead_keeps_no_process_in_the_group(kept: Kept) -> None:
    """One that was killed with it would be the last under its name for days."""
    ahead = await kept.member(name="pod-0", since="2026-11-29T08:00:00.000Z")
    worker = await kept.member(name="pod-0", since=AT)
    kept.group = [(ahead.member.process, "pod-0")]
    await worker.loaded(2)
    [blocker] = (await kept.barrier(2).look()).blockers
    assert blocker.process == ahead.member.process
    assert blocker.why == "has the epoch 1, on pod-0"  # excused once all is sealed on


async def test_a_worker_that_joins_while_an_erasure_is_at_work_is_waited_for(kept: Kept) -> None:
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(Killed):
        await kept.run(Kill("punctured", "after"))
    await kept.member(epoch=1)
    with pytest.raises(BarrierError):
        await kept.run()


async def test_views_are_brought_up(kept: Kept) -> None:
    view = kept.folder / "view/keyring.json"
    write_view(kept.ring, kept.path, "gateway", view.parent)
    kept.views = [view]
    await kept.file("R-1", SOMEBODY)
    await kept.run()
    assert load_keyring(view).keyring.epoch == 2
    assert Cover(load_keyring(view).cover).find(path_of(SOMEBODY)) is None


async def test_two_runs_at_once_are_one(kept: Kept) -> None:
    await kept.file("R-1", SOMEBODY)
    with keyring_lock(kept.path, name=RUN_FILE), pytest.raises(KeyringError, match="another"):
        await kept.run()


async def test_the_same_person_twice_in_a_batch_is_counted_twice_and_erased_once(
    kept: Kept,
) -> None:
    await kept.file("R-1", SOMEBODY)
    await kept.file("R-2", SOMEBODY, ANOTHER)
    await kept.run()
    one, two = await kept.certificates()
    assert one.count == len(RECORDS[SOMEBODY])
    assert two.count == len(RECORDS[SOMEBODY]) + len(RECORDS[ANOTHER])
    assert await opened_by(kept, "R-2") == two.count


async def test_who_knows_the_person_finds_the_certificate(kept: Kept) -> None:
    await kept.file("R-1", ANOTHER)
    await kept.run()
    found = await kept.private.get(erased_name(INDEX_KEY, ANOTHER))
    assert found is not None
    assert found.value["certificate"] == 0
    await kept.file("R-2", ANOTHER)
    await kept.run()
    again = await kept.private.get(erased_name(INDEX_KEY, ANOTHER))
    assert again == found  # by R-1 they were erased
    assert await kept.private.get(erased_name(INDEX_KEY, SOMEBODY)) is None


async def test_objects_that_come_back_are_swept(kept: Kept) -> None:
    name = kept.subjects.names_sync("subjects/")[0]
    before = kept.subjects.get_sync(name)
    assert before is not None
    tags = open_tags(INDEX_KEY, name, before.data)
    await kept.file("R-1", tags[0])
    await kept.run()
    now = kept.subjects.get_sync(name)
    assert now is not None
    assert kept.subjects.replace_sync(name, sealed(name, tags), now.etag)  # from a backup
    ring = kept.ring
    covers = [Cover(load_cover(kept.path, tree)) for tree in ring.keyring.trees]
    swept = await sweep(kept.installation().counting, covers)
    assert swept.zeroed == 1
    assert tags[0] not in golden_tags(kept)
    assert set(tags[1:]) - {tags[0]} <= golden_tags(kept)
    assert (await sweep(kept.installation().counting, covers)).zeroed == 0


SUBJECT = ("t1", "external", "CUST_back")


async def test_who_returns_has_keys_again_and_old_records_stay_erased(kept: Kept) -> None:
    maker = TagMaker(golden.KEYRING.trees[0].pepper)
    place = kept.installation()
    with pytest.raises(RequestError, match="not erased"):
        await bring_back(place, "customer", SUBJECT[2], SUBJECT[0])
    await kept.file("R-1", maker.tag(SUBJECT), SOMEBODY)
    await kept.run()
    assert keys_of(kept) is None
    assert await bring_back(place, "customer", SUBJECT[2], SUBJECT[0]) == 1
    assert keys_of(kept) is not None
    assert kept.ring.keyring.epoch == 3
    assert kept.erased() == sources(SOMEBODY)
    await kept.file("R-2", *tags_now(kept))
    await kept.run()
    assert keys_of(kept) is None
    assert await bring_back(place, "customer", SUBJECT[2], SUBJECT[0]) == 2
    assert keys_of(kept) is not None


def keys_of(kept: Kept) -> object:
    ring = kept.ring
    return KeyDeriver(ring.keyring, ring.cover, bytes(16)).keys(SUBJECT, min(ring.keyring.years))


def tags_now(kept: Kept) -> list[bytes]:
    return tags_of(kept.ring.keyring, SUBJECT)


async def test_nobody_is_brought_back_while_an_erasure_is_at_work(kept: Kept) -> None:
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(Killed):
        await kept.run(Kill("punctured", "after"))
    with pytest.raises(RequestError, match="at work"):
        await bring_back(kept.installation(), "customer", "CUST_1", "t1")


async def test_an_object_nobody_can_read_stops_the_certificate(kept: Kept) -> None:
    name = kept.subjects.names_sync("subjects/")[0]
    stored = kept.subjects.get_sync(name)
    assert stored is not None
    assert kept.subjects.replace_sync(name, b"\x01" + bytes(40), stored.etag)
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(Exception, match="cannot be looked into"):
        await kept.run()
    assert await kept.certificates() == []
    now = kept.subjects.get_sync(name)
    assert now is not None
    assert kept.subjects.replace_sync(name, stored.data, now.etag)
    await kept.run()
    assert len(await kept.certificates()) == 1


async def test_a_keyring_from_before_is_not_taken_for_the_one_at_work(kept: Kept) -> None:
    old = kept.path.read_bytes()
    cover = (kept.path.parent / "cover-1.bin").read_bytes()
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(Killed):
        await kept.run(Kill("punctured", "after"))
    kept.path.write_bytes(old)
    (kept.path.parent / "cover-1.bin").write_bytes(cover)
    with pytest.raises(KeyringError):
        await kept.run()


async def test_a_withdrawn_request_is_not_carried_out(kept: Kept) -> None:
    await kept.file("R-1", SOMEBODY)
    await kept.requests.withdraw("R-1")
    assert (await kept.run()).certified == ()
    assert await kept.certificates() == []

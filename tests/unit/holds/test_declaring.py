"""Holds: declared once, released by two persons, whatever crashes; before an erasure or after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit_stream.archive.register import RegisterReader, RegisterWriter
from audit_stream.errors import FormatError, KeyringError, RequestError, StoreTransient
from audit_stream.evidence.hold import Action, Kind, hold_of, opens
from audit_stream.evidence.register import Register
from audit_stream.holds.filing import Wanted
from audit_stream.holds.hold import State
from audit_stream.keys.lock import keyring_lock
from audit_stream.stores.memory import MemoryWormStore
from tests.support.chains import NAME, SIGNER, TRUSTED
from tests.support.eventually import eventually
from tests.support.holding import AT, OTHER, TAG, Holding, wanted


@pytest.fixture
def holding(tmp_path: Path) -> Holding:
    return Holding(tmp_path)


async def entries(holding: Holding) -> list[tuple[str, Action]]:
    reader = RegisterReader(holding.store, TRUSTED, NAME, Register.HOLDS)
    said = map(hold_of, await reader.new_entries())
    return [(each.hold_id, each.action) for each in said]


async def blocking(holding: Holding, tag: bytes = TAG) -> list[str]:
    return (await holding.reader.now()).blocks_tags([tag])


async def test_what_is_filed_holds_and_is_declared_by_the_keeper(holding: Holding) -> None:
    hold = await holding.file()
    assert await blocking(holding) == [hold.hold_id]
    assert await blocking(holding, OTHER) == []
    assert await entries(holding) == []
    [done] = await holding.declaring.carry_out_filed(AT)
    assert (done.hold_id, done.action, done.number) == (hold.hold_id, Action.DECLARED, 0)
    assert await holding.declaring.carry_out_filed(AT) == []
    assert await blocking(holding) == [hold.hold_id]


async def test_worm_has_neither_customer_nor_tag_and_the_private_object_opens_it(
    holding: Holding,
) -> None:
    hold_id = await holding.declare()
    assert isinstance(holding.store, MemoryWormStore)
    stored = b"".join(each.data for each in holding.store.objects.values())
    assert TAG.hex().encode() not in stored
    [entry] = await RegisterReader(holding.store, TRUSTED, NAME, Register.HOLDS).new_entries()
    kept = await holding.holds.get(hold_id)
    assert kept is not None
    assert kept.secret is not None
    assert opens(hold_of(entry).scope, kept.secret, [TAG])
    assert not opens(hold_of(entry).scope, kept.secret, [OTHER])


async def test_a_release_takes_a_second_person(holding: Holding) -> None:
    hold_id = await holding.declare()
    with pytest.raises(RequestError, match="nobody filed"):
        await holding.holds.approve(hold_id, "chief", AT)
    await holding.holds.release(hold_id, "counsel", AT, "END-1")
    again = await holding.holds.release(hold_id, "Counsel", AT, "END-1")
    assert again.release is not None
    assert again.release.filed_by == "counsel"  # it is who filed it, and is said so
    for first in ("counsel", "COUNSEL"):
        with pytest.raises(RequestError, match="second person"):
            await holding.holds.approve(hold_id, first, AT)
    with pytest.raises(RequestError, match="filed by counsel"):
        await holding.holds.release(hold_id, "chief", AT, "END-2")
    await holding.declaring.carry_out_filed(AT)
    assert await blocking(holding) == [hold_id]  # one person alone ends nothing
    await holding.holds.approve(hold_id, "chief", AT)
    assert await blocking(holding) == [hold_id]  # until it is declared
    await holding.declaring.carry_out_filed(AT)
    assert await blocking(holding) == []
    assert await entries(holding) == [(hold_id, Action.DECLARED), (hold_id, Action.RELEASED)]


async def test_everything_repeated_changes_nothing(holding: Holding) -> None:
    hold_id = await holding.declare()
    assert await holding.declare() == hold_id
    await holding.release(hold_id)
    await holding.release(hold_id)
    assert len(await entries(holding)) == 2
    again = await holding.declare()  # it was released: this one is new
    assert again != hold_id
    assert await blocking(holding) == [again]


async def test_another_matter_or_scope_is_another_hold(holding: Holding) -> None:
    one = await holding.declare()
    assert await holding.declare(wanted(matter="LIT-2026-18")) != one
    assert await holding.declare(wanted(tags=(TAG, OTHER))) != one
    assert len(await blocking(holding)) == 3


async def test_two_releases_at_once_are_one(holding: Holding) -> None:
    hold_id = await holding.declare()
    filed = await asyncio.gather(
        *(holding.holds.release(hold_id, by, AT, "END-1") for by in ("counsel", "chief")),
        return_exceptions=True,
    )
    assert sum(isinstance(each, RequestError) for each in filed) == 1
    hold = await holding.holds.get(hold_id)
    assert hold is not None
    assert hold.release is not None
    second = {"counsel": "chief", "chief": "counsel"}[hold.release.filed_by]
    await asyncio.gather(*(holding.holds.approve(hold_id, second, AT) for _ in range(3)))
    await holding.declaring.carry_out_filed(AT)
    await holding.declaring.carry_out_filed(AT)
    assert len(await entries(holding)) == 2


async def test_declarations_at_once_end_as_one(holding: Holding) -> None:
    for _ in range(10):
        filed = await asyncio.gather(*(holding.file() for _ in range(4)))
        assert len({each.hold_id for each in filed}) == 1
        await holding.declaring.carry_out_filed(AT)
        assert len(await blocking(holding)) == 1
        await holding.release(filed[0].hold_id)


async def test_a_filing_that_was_cut_off_is_taken_up(holding: Holding) -> None:
    """The key names a hold that never came to be."""
    first = await holding.file()
    kept = await holding.private.get(first.name)
    assert kept is not None
    await holding.private.remove(kept)
    again = await holding.file()
    assert again.hold_id == first.hold_id
    assert await blocking(holding) == [again.hold_id]


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("step", ["declared", "released"])
async def test_a_crash_beside_the_entry_is_made_up_for(
    holding: Holding, stored: bool, step: str
) -> None:
    """The private object comes first: whether the entry came to stand or not, the next run ends
    with one, and it holds all the while until it is released."""
    assert isinstance(holding.store, MemoryWormStore)
    hold = await holding.file()
    if step == "released":
        await holding.declaring.carry_out_filed(AT)
        await holding.holds.release(hold.hold_id, "counsel", AT, "END-1")
        await holding.holds.approve(hold.hold_id, "chief", AT)
    holding.store.fail_next(1, stored)
    with pytest.raises(StoreTransient):
        await holding.declaring.carry_out_filed(AT)
    released = step == "released"
    assert bool(await blocking(holding)) is not (released and stored)
    await holding.declaring.carry_out_filed(AT)
    assert bool(await blocking(holding)) is not released
    assert len(await entries(holding)) == (2 if released else 1)
    kept = await holding.holds.get(hold.hold_id)
    assert kept is not None
    assert kept.state is (State.RELEASED if released else State.ACTIVE)


async def test_a_hold_by_customer_whose_private_object_is_gone_holds_everybody(
    holding: Holding,
) -> None:
    lost, kept = (
        await holding.declare(),
        await holding.declare(wanted(Kind.RANGE, values=["t/1/0/0-9"])),
    )
    for hold_id in (lost, kept):
        found = await holding.private.get(f"private/holds/{hold_id}")
        assert found is not None
        await holding.private.remove(found)
    active = await holding.reader.now()
    assert active.blocks_tags([OTHER]) == [lost]
    assert {each.hold_id for each in active.holds} == {lost, kept}  # the range stands in WORM


@pytest.mark.parametrize("what", [wanted(), wanted(Kind.RANGE, values=["t/1/0/0-9"])])
async def test_a_lost_hold_is_released_by_two_persons_as_any_other(
    holding: Holding, what: Wanted
) -> None:
    hold_id = await holding.declare(what)
    await holding.lose(f"private/holds/{hold_id}")
    await holding.reader.entries()
    declared = await holding.entry(hold_id)
    with pytest.raises(RequestError, match="nobody filed"):
        await holding.holds.approve(hold_id, "chief", AT, declared)
    await holding.holds.release(hold_id, "counsel", AT, "END-1", declared)
    active = [each.hold_id for each in (await holding.reader.now()).holds]
    assert active == [hold_id]
    assert await blocking(holding, OTHER) == ([hold_id] if what.tags else [])  # everybody, still
    with pytest.raises(RequestError, match="second person"):
        await holding.holds.approve(hold_id, "counsel", AT, declared)
    await holding.holds.approve(hold_id, "chief", AT, declared)
    await holding.declaring.carry_out_filed(AT)
    assert not (await holding.reader.now()).holds
    assert await entries(holding) == [(hold_id, Action.DECLARED), (hold_id, Action.RELEASED)]


async def test_a_lost_hold_that_is_declared_again_holds_its_customer_alone(
    holding: Holding,
) -> None:
    hold_id = await holding.declare()
    await holding.lose(f"private/holds/{hold_id}")
    again = await holding.file()
    assert again.hold_id == hold_id
    assert await blocking(holding, OTHER) == [hold_id]  # until the register says so
    await holding.declaring.carry_out_filed(AT)
    assert await blocking(holding) == [hold_id]
    assert await blocking(holding, OTHER) == []
    assert await holding.declaring.carry_out_filed(AT) == []
    assert await entries(holding) == [(hold_id, Action.DECLARED)] * 2


async def test_what_is_held_again_behind_a_release_is_another_hold(holding: Holding) -> None:
    """The key still names the one that was released, whose private object is gone."""
    over = await holding.declare()
    await holding.release(over)
    await holding.lose(f"private/holds/{over}")
    again = await holding.declare()
    assert again != over
    assert await blocking(holding) == [again]
    assert await entries(holding) == [
        (over, Action.DECLARED), (over, Action.RELEASED), (again, Action.DECLARED)
    ]  # fmt: skip
    assert await holding.declare() == again


async def test_what_stands_under_the_id_of_a_released_hold_holds_until_two_persons_end_it(
    holding: Holding,
) -> None:
    over = await holding.declare()
    await holding.release(over)
    await holding.file_again(over, wanted())
    assert await blocking(holding) == [over]
    await holding.declaring.carry_out_filed(AT)
    assert await blocking(holding) == [over]
    again = await holding.declare()
    assert await blocking(holding) == sorted([over, again])
    await holding.release(over)
    assert await blocking(holding) == [again]


async def test_while_a_lost_hold_ends_the_same_can_be_declared(holding: Holding) -> None:
    hold_id = await holding.declare()
    await holding.lose(f"private/holds/{hold_id}")
    await holding.holds.release(hold_id, "counsel", AT, "END-1", await holding.entry(hold_id))
    again = await holding.declare()
    assert again != hold_id
    await holding.holds.approve(hold_id, "chief", AT)
    await holding.declaring.carry_out_filed(AT)
    assert await blocking(holding) == [again]
    assert await blocking(holding, OTHER) == []


async def test_an_entry_that_cannot_be_read_hides_nothing_behind_it(holding: Holding) -> None:
    """Whoever asks again is told again, and never less."""
    writer = RegisterWriter(holding.store, TRUSTED, NAME, Register.HOLDS)
    await writer.append({"action": "declared"}, SIGNER)
    reader = holding.reader
    with pytest.raises(FormatError):
        await holding.declare()
    for _ in range(3):
        with pytest.raises(FormatError):
            await reader.now()


async def test_a_declaration_takes_an_approver(holding: Holding) -> None:
    with pytest.raises(RequestError, match="another person"):
        await holding.file(wanted(approved_by="counsel"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda: wanted(custodian="Jane Doe"),
        lambda: wanted(matter="jane@example.org"),
        lambda: wanted(reason="she asked for it"),
        lambda: wanted(Kind.MESSAGE, values=["jane@example.org"]),
        lambda: wanted(Kind.WORKFLOW, values=["+4915100000"]),
        lambda: wanted(Kind.MESSAGE, values=[]),
        lambda: wanted(Kind.RANGE, values=["t/1/0/9-3"]),
        lambda: wanted(Kind.RANGE, values=["t/01/0/1-3"]),
    ],
)
async def test_what_must_not_stand_in_worm_is_refused(
    holding: Holding, spoil: Callable[[], Any]
) -> None:
    with pytest.raises(FormatError):
        await holding.file(spoil())
    assert await holding.holds.all() == []


async def test_a_racing_hold_is_before_the_puncture_or_after_it(tmp_path: Path) -> None:
    """Who erases holds the lock from its look at the holds to the puncture: a hold filed between is
    declared behind it."""
    holding, keyring, done = Holding(tmp_path), tmp_path / "keyring.json", list[str]()
    looked, go = asyncio.Event(), asyncio.Event()

    async def erase() -> None:
        with keyring_lock(keyring):
            assert (await holding.declaring.active()).blocks_tags([TAG]) == []
            looked.set()
            await go.wait()
            done.append("punctured")

    async def declare() -> None:
        await holding.file()
        with keyring_lock(keyring):
            await holding.declaring.carry_out_filed(AT)
            done.append("declared")

    async def is_filed() -> bool:
        return bool(await holding.holds.all())

    erasing = asyncio.create_task(erase())
    await looked.wait()
    declaring = asyncio.create_task(asyncio.to_thread(asyncio.run, declare()))
    await eventually(is_filed)
    with pytest.raises(KeyringError, match="another process"), keyring_lock(keyring, wait=0.1):
        pass
    assert await entries(holding) == []
    go.set()
    await asyncio.gather(erasing, declaring)
    assert done == ["punctured", "declared"]
    with keyring_lock(keyring):
        assert len((await holding.declaring.active()).blocks_tags([TAG])) == 1

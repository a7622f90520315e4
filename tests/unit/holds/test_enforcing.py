"""What is declared is held by the store, and read back; lifted with the last; else it is told."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.evidence.hold import Kind
from audit_stream.holds.active import ActiveHolds
from audit_stream.holds.enforcing import container_tag
from audit_stream.holds.following import Held
from audit_stream.holds.hold import State
from audit_stream.holds.looking import Looking
from audit_stream.holds.standing import LOST, Standings
from audit_stream.ports import HoldLevel
from audit_stream.seal.builder import Sealed
from audit_stream.stores.file import FileStore
from audit_stream.stores.memory import MemoryWormStore
from tests.support.chains import NAME
from tests.support.holding import AT, INDEX_KEY, LATER, Holding, wanted


@pytest.fixture
def holding(tmp_path: Path) -> Holding:
    return Holding(tmp_path)


def having(sealed: list[Sealed], tag: bytes) -> list[int]:
    return [n for n, each in enumerate(sealed) if tag in
            [each.tags[i : i + 16] for i in range(0, len(each.tags), 16)]]  # fmt: skip


def rarest(sealed: list[Sealed]) -> bytes:
    """A tag that some segments have, and others do not."""
    tags = {each.tags[i : i + 16] for each in sealed for i in range(0, len(each.tags), 16)}
    return min(tags, key=lambda tag: (abs(len(having(sealed, tag)) - 2), tag))


async def test_each_segment_with_a_held_record_is_held_and_no_other(holding: Holding) -> None:
    sealed = await holding.archive()
    tag = rarest(sealed)
    await holding.declare(wanted(tags=(tag,)))
    found = await holding.enforcing.run(AT)
    assert (found.level, found.declared, found.missing) == (HoldLevel.OBJECT, 1, [])
    assert 0 < len(having(sealed, tag)) < len(sealed)
    assert await holding.held(sealed) == having(sealed, tag)


@pytest.mark.parametrize("kind", [Kind.MESSAGE, Kind.WORKFLOW, Kind.RANGE])
async def test_by_what_records_say(holding: Holding, kind: Kind) -> None:
    sealed = await holding.archive()
    name, chunk = sealed[1].name, sealed[1]
    from audit_stream.evidence.segment import decode

    pub = orjson.loads(decode(chunk.data, "it").record_lines()[0])["pub"]
    value = {
        Kind.MESSAGE: pub["message_uuid"], Kind.WORKFLOW: pub["originating_workflow_id"],
        Kind.RANGE: f"{name.topic}/1/0/{chunk.header.base}-{chunk.header.next - 1}",
    }[kind]  # fmt: skip
    await holding.declare(wanted(kind, values=[value]))
    assert (await holding.enforcing.run(AT)).missing == []
    held = await holding.held(sealed)
    assert 1 in held
    assert held == [1] or kind is not Kind.RANGE


async def test_what_is_only_filed_is_not_pushed(holding: Holding) -> None:
    sealed = await holding.archive()
    await holding.file(wanted(tags=(rarest(sealed),)))
    assert (await holding.enforcing.run(AT)).declared == 0
    assert await holding.held(sealed) == []


async def test_new_segments_are_found_by_the_next_pass(holding: Holding) -> None:
    from tests.support import golden
    from tests.support.chains import stream_of

    sealed = await holding.archive()
    tag = rarest(sealed)
    await holding.declare(wanted(tags=(tag,)))
    await holding.enforcing.run(AT)
    last = sealed[-1].header.next
    chunk = golden.judged(golden.TOPICS[0], 10)[having(sealed, tag)[0]]
    chunk.base, chunk.next = last, last + (chunk.next - chunk.base)
    new = await holding.seal(stream_of(golden.TOPICS[0], partitions=1), chunk)
    assert await holding.store.held(str(new.name)) is False
    assert (await holding.enforcing.run(AT)).missing == []
    assert await holding.store.held(str(new.name)) is True


async def test_a_release_lifts_what_no_other_hold_holds(holding: Holding) -> None:
    sealed = await holding.archive()
    tag = rarest(sealed)
    last = having(sealed, tag)[-1]
    header = sealed[last].header
    part = f"{header.topic}/1/0/{header.base}-{header.base}"
    one = await holding.declare(wanted(tags=(tag,)))
    await holding.declare(wanted(Kind.RANGE, values=[part]))
    await holding.enforcing.run(AT)
    await holding.release(one)
    await holding.enforcing.run(AT)
    assert await holding.held(sealed) == having(sealed, tag)  # a worker may set one still
    assert (await holding.enforcing.run(LATER)).missing == []
    assert await holding.held(sealed) == [last]
    hold = await holding.holds.get(one)
    assert hold is not None
    assert (hold.state, hold.tags) == (State.LIFTED, ())
    assert hold.secret is not None  # who knows the customer can still show it was them


async def test_what_stands_under_the_id_of_a_released_hold_keeps_no_other_from_being_lifted(
    holding: Holding,
) -> None:
    """It is enforced as any other, too."""
    sealed = await holding.archive()
    one, other = wanted(tags=(rarest(sealed),)), wanted(Kind.RANGE, values=[all_of(sealed[0])])
    over, gone = await holding.declare(one), await holding.declare(other)
    await holding.enforcing.run(AT)
    for each in (over, gone):
        await holding.release(each)
    await holding.file_again(over, one)
    await holding.enforcing.run(LATER)
    lifted = await holding.holds.get(gone)
    assert lifted is not None
    assert lifted.state is State.LIFTED
    assert await holding.held(sealed) == having(sealed, rarest(sealed))


def all_of(sealed: Sealed) -> str:
    header = sealed.header
    return f"{header.topic}/1/0/{header.base}-{header.next - 1}"


async def test_a_hold_that_a_worker_set_after_the_release_is_lifted(holding: Holding) -> None:
    """It looked a minute ago; until the grace is over, new segments are still looked into."""
    sealed = await holding.archive()
    tag = rarest(sealed)
    hold_id = await holding.declare(wanted(tags=(tag,)))
    await holding.release(hold_id)
    late = str(sealed[having(sealed, tag)[0]].name)
    await holding.store.set_hold(late, True)
    await holding.enforcing.run(AT)
    await holding.enforcing.run(LATER)
    assert await holding.store.held(late) is False


@pytest.mark.parametrize("error", [StoreRefused("no right"), StoreTransient("away")])
async def test_what_the_store_does_not_take_is_missing_until_it_does(
    tmp_path: Path, error: Exception
) -> None:
    class Refusing(MemoryWormStore):
        refuses = True

        async def set_hold(self, name: str, held: bool) -> None:
            if self.refuses:
                raise error
            await super().set_hold(name, held)

    store = Refusing()
    holding = Holding(tmp_path, store)
    sealed = await holding.archive()
    tag = rarest(sealed)
    hold_id = await holding.declare(wanted(tags=(tag,)))
    found = await holding.enforcing.run(AT)
    assert found.missing == [hold_id]
    assert str(error) in found.failures[0]
    store.refuses = False
    assert (await holding.enforcing.run(AT)).missing == []
    assert await holding.held(sealed) == having(sealed, tag)


async def test_a_store_that_says_yes_and_does_nothing_is_found_out(tmp_path: Path) -> None:
    class Lying(MemoryWormStore):
        async def set_hold(self, name: str, held: bool) -> None:
            """Taken, and forgotten: as Azurite does with what it does not know."""

    holding = Holding(tmp_path, Lying())
    sealed = await holding.archive()
    hold_id = await holding.declare(wanted(tags=(rarest(sealed),)))
    assert (await holding.enforcing.run(AT)).missing == [hold_id]


async def test_a_crash_behind_the_journal_leaves_nothing_unheld(holding: Holding) -> None:
    """The journal says what it owes before the hold is set."""
    sealed = await holding.archive()
    tag = rarest(sealed)
    await holding.declare(wanted(tags=(tag,)))
    enforcing = holding.enforcing
    crashed = RuntimeError("killed")

    async def die(*_: object) -> None:
        raise crashed

    enforcing._push = die  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await enforcing.run(AT)
    assert await holding.held(sealed) == []
    assert (await holding.enforcing.run(AT)).missing == []
    assert await holding.held(sealed) == having(sealed, tag)


async def test_a_hold_somebody_lifted_is_found_when_all_are_read_back(holding: Holding) -> None:
    sealed = await holding.archive()
    tag = rarest(sealed)
    await holding.declare(wanted(tags=(tag,)))
    await holding.enforcing.run(AT)
    await holding.store.set_hold(str(sealed[having(sealed, tag)[0]].name), False)
    standings = Standings(holding.store, None, holding.private, holding.reader, NAME)
    assert [each.missing for each in (await standings.look(read_back=False))[1]] == [False]
    assert [each.missing for each in (await standings.look(read_back=True))[1]] == [True]
    await holding.enforcing.run(AT, recheck=True)
    assert await holding.held(sealed) == having(sealed, tag)
    assert [each.missing for each in (await standings.look(read_back=True))[1]] == [False]


@pytest.mark.parametrize("spoil", ["gone", "junk"])
async def test_a_subject_object_that_cannot_be_looked_into_counts_as_held(
    holding: Holding, spoil: str
) -> None:
    sealed = await holding.archive()
    stored = await holding.subjects.get(sealed[0].subject_name)
    assert stored is not None
    if spoil == "gone":
        await holding.subjects.remove(sealed[0].subject_name, stored.etag)
    else:
        await holding.subjects.replace(sealed[0].subject_name, b"\x01junk" * 9, stored.etag)
    await holding.declare()  # of a tag that no segment has
    await holding.enforcing.run(AT)
    assert await holding.held(sealed) == [0]


async def test_a_subject_object_that_is_gone_when_it_is_read_counts_as_held(
    holding: Holding,
) -> None:
    sealed = await holding.archive()
    await holding.declare()  # of a tag that no segment has
    looking = Looking(holding.store, holding.subjects, INDEX_KEY)
    active, name = await holding.reader.now(), sealed[0].name
    place = (name.topic, name.generation, name.partition)
    slots = await looking.slots(place, None, with_subjects=True)
    stored = await holding.subjects.get(sealed[0].subject_name)
    assert stored is not None
    await holding.subjects.remove(sealed[0].subject_name, stored.etag)
    held = await looking.holders(active, place, slots)
    assert [bool(ids) for ids in held] == [True, *[False] * (len(slots) - 1)]


async def test_a_lost_customers_hold_is_missing_and_said(holding: Holding) -> None:
    sealed = await holding.archive()
    hold_id = await holding.declare()
    kept = await holding.private.get(f"private/holds/{hold_id}")
    assert kept is not None
    await holding.private.remove(kept)
    assert (await holding.enforcing.run(AT)).missing == [hold_id]
    assert await holding.held(sealed) == [n for n, each in enumerate(sealed) if each.tags]
    standings = Standings(holding.store, None, holding.private, holding.reader, NAME)
    [standing] = (await standings.look(read_back=False))[1]
    assert (standing.state, standing.missing) == (LOST, True)


async def test_a_lost_hold_that_leaves_is_lost_still_and_lifted_whole(holding: Holding) -> None:
    """What a worker held for it just before it was released, too."""
    sealed = await holding.archive()
    hold_id = await holding.declare()
    kept = await holding.private.get(f"private/holds/{hold_id}")
    assert kept is not None
    await holding.private.remove(kept)
    await holding.holds.release(hold_id, "counsel", AT, "END-1", await holding.entry(hold_id))
    standings = Standings(holding.store, None, holding.private, holding.reader, NAME)
    [standing] = (await standings.look(read_back=False))[1]
    assert (standing.state, standing.missing) == (LOST, True)
    await holding.holds.approve(hold_id, "chief", AT)
    await holding.declaring.carry_out_filed(AT)
    await holding.store.set_hold(str(sealed[1].name), True)  # a worker that looked a minute ago
    await holding.enforcing.run(AT)
    await holding.enforcing.run(LATER)
    assert await holding.held(sealed) == []
    hold = await holding.holds.get(hold_id)
    assert hold is not None
    assert hold.state is State.LIFTED


async def test_nothing_is_lifted_while_a_hold_is_only_filed(holding: Holding) -> None:
    """It holds from its filing: what the store holds already goes on being held."""
    sealed = await holding.archive()
    tag = rarest(sealed)
    one = await holding.declare(wanted(tags=(tag,)))
    await holding.enforcing.run(AT)
    await holding.release(one)
    await holding.file(wanted(tags=(tag,), matter="LIT-2026-18"))
    await holding.enforcing.run(LATER)
    assert await holding.held(sealed) == having(sealed, tag)
    await holding.declaring.carry_out_filed(LATER)
    await holding.enforcing.run(LATER)
    assert await holding.held(sealed) == having(sealed, tag)
    assert {each.state for each in await holding.holds.all()} == {State.LIFTED, State.ACTIVE}


async def test_a_disposal_is_told_of_every_hold_on_a_segment(holding: Holding) -> None:
    sealed = await holding.archive()
    tag = rarest(sealed)
    filed = (await holding.file(wanted(tags=(tag,)))).hold_id  # not declared yet
    looking = Looking(holding.store, holding.subjects, INDEX_KEY)
    active = await holding.reader.now()
    told = [await looking.held_by(active, each.name, each.header.next) for each in sealed]
    assert [n for n, ids in enumerate(told) if ids == [filed]] == having(sealed, tag)
    assert [ids for ids in told if ids not in ([], [filed])] == []


# Where not each object has a hold


class Tags:
    """A container whose holds others set, too."""

    def __init__(self, *tags: str, works: bool = True) -> None:
        self.standing, self.works = set(tags), works

    async def tags(self) -> frozenset[str]:
        return frozenset(self.standing)

    async def set_tag(self, tag: str, held: bool) -> None:
        if not self.works:
            raise StoreRefused("AuthorizationFailed")
        (self.standing.add if held else self.standing.discard)(tag)


class ContainerStore(MemoryWormStore):
    """A store whose container alone can be held."""

    async def hold_level(self) -> HoldLevel:
        return HoldLevel.CONTAINER


async def test_a_container_is_held_while_any_hold_is_active(tmp_path: Path) -> None:
    tags = Tags("theirs")
    holding = Holding(tmp_path, ContainerStore(), tags)
    one = await holding.declare()
    two = await holding.declare(wanted(Kind.RANGE, values=["t/1/0/0-9"]))
    assert (await holding.enforcing.run(AT)).missing == []
    assert tags.standing == {"theirs", container_tag(NAME)}
    await holding.release(one)
    await holding.enforcing.run(AT)
    assert tags.standing == {"theirs", container_tag(NAME)}
    await holding.release(two)
    await holding.enforcing.run(AT)
    assert tags.standing == {"theirs"}
    assert {each.state for each in await holding.holds.all()} == {State.LIFTED}


async def test_a_container_stays_held_for_what_is_only_filed(tmp_path: Path) -> None:
    tags = Tags()
    holding = Holding(tmp_path, ContainerStore(), tags)
    one = await holding.declare()
    await holding.enforcing.run(AT)
    await holding.release(one)
    await holding.file(wanted(matter="LIT-2026-18"))
    await holding.enforcing.run(AT)
    assert tags.standing == {container_tag(NAME)}


async def test_what_objects_still_hold_is_not_forgotten_where_none_can_be_held_now(
    tmp_path: Path,
) -> None:
    """A class got a container of another kind: the tags go when its objects are free."""

    class Turning(MemoryWormStore):
        level = HoldLevel.OBJECT

        async def hold_level(self) -> HoldLevel:
            return self.level

    store = Turning()
    holding = Holding(tmp_path, store)
    sealed = await holding.archive()
    hold_id = await holding.declare(wanted(tags=(rarest(sealed),)))
    await holding.enforcing.run(AT)
    await holding.release(hold_id)
    store.level = HoldLevel.NONE
    await holding.enforcing.run(LATER)
    hold = await holding.holds.get(hold_id)
    assert hold is not None
    assert hold.state is State.RELEASED
    store.level = HoldLevel.OBJECT
    await holding.enforcing.run(LATER)
    assert await holding.held(sealed) == []


async def test_a_container_that_cannot_be_held_is_told(tmp_path: Path) -> None:
    holding = Holding(tmp_path, ContainerStore(), Tags(works=False))
    hold_id = await holding.declare()
    found = await holding.enforcing.run(AT)
    assert (found.missing, found.failures) == ([hold_id], ("AuthorizationFailed",))
    holding.container = None
    found = await holding.enforcing.run(AT)
    assert found.missing == [hold_id]
    assert "AUDIT_AZURE_SUBSCRIPTION" in found.failures[0]


async def test_a_folder_holds_nothing_and_says_so(tmp_path: Path) -> None:
    holding = Holding(tmp_path, FileStore(tmp_path / "archive"))
    hold_id = await holding.declare()
    found = await holding.enforcing.run(AT)
    assert (found.level, found.missing) == (HoldLevel.NONE, [hold_id])
    assert (await holding.reader.now()).blocks_tags([wanted().tags[0]]) == [hold_id]


# A worker's view


async def test_a_worker_knows_what_is_active_after_a_look(holding: Holding) -> None:
    sealed = await holding.archive()
    tag = rarest(sealed)
    held = Held(holding.reader, holding.store)
    await held.look()
    assert not any(held(each, bytes) for each in sealed)
    hold_id = await holding.declare(wanted(tags=(tag,)))
    assert not any(held(each, bytes) for each in sealed)
    await held.look()
    assert [n for n, each in enumerate(sealed) if held(each, bytes)] == having(sealed, tag)
    await holding.release(hold_id)
    await held.look()
    assert not any(held(each, bytes) for each in sealed)


async def test_a_worker_reads_no_holds_where_none_can_be_set(tmp_path: Path) -> None:
    holding = Holding(tmp_path, FileStore(tmp_path / "archive"))
    await holding.declare()

    class Unread:
        async def now(self) -> ActiveHolds:
            raise AssertionError("read")

    await Held(Unread(), holding.store).look()  # type: ignore[arg-type]

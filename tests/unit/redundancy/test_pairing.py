"""Two stores of one archive: what is damaged on one is found, and added from the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from audit_stream.errors import StoreTransient
from audit_stream.evidence.layout import map_name
from audit_stream.redundancy.composing import Composing
from audit_stream.redundancy.pairing import Outcome, Pairing
from audit_stream.redundancy.sides import SIDES, Side, other
from audit_stream.redundancy.word import Word
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.verify.report import Verdict
from tests.campaigns.tampering.archives import names_of
from tests.campaigns.tampering.scene import Objects, build
from tests.support.damage import Twins, flipped, verified

#: Every family of objects there is in the scene; a disposed segment's header has a test of its own.
FAMILIES = (
    "segment", "end", "stream object", "status map", "batch", "tile", "witness's note", "timestamp",
    "journal part", "register entry",
)  # fmt: skip
Damage = Callable[[Twins, Side, str], None]

each_family = pytest.mark.parametrize("family", FAMILIES)
each_side = pytest.mark.parametrize("side", SIDES)


@pytest.fixture(scope="module")
def good() -> Objects:
    return asyncio.run(build()).objects


async def compared(twins: Twins) -> Outcome:
    return await Pairing(twins.sides, twins.judge()).run()


async def repaired(twins: Twins, lacking: Side) -> Outcome:
    return await Pairing(twins.sides, twins.judge(), add_to=lacking).run()


async def test_two_that_are_the_same_are_equal(good: Objects) -> None:
    found = await compared(await Twins.of(good))
    assert found.is_equal
    assert (found.objects, found.differences) == (len(good), [])


async def test_each_object_of_a_good_archive_is_good(good: Objects) -> None:
    judge = (await Twins.of(good)).judge()
    judged = {name: await judge.judge(name, data) for name, data in sorted(good.items())}
    assert {name: each for name, each in judged.items() if not each.is_good} == {}


@each_family
@each_side
async def test_an_object_that_was_removed_is_found_and_added(
    family: str, side: Side, good: Objects
) -> None:
    for name in names_of(good, family)[:3]:
        twins = await Twins.of(good)
        twins.remove(side, name)
        found = (await compared(twins)).differences
        assert [(each.name, each.alone_on) for each in found] == [(name, other(side))]
        assert found[0].good == [other(side)]
        done = await repaired(twins, side)
        assert (done.added, done.is_equal) == ([name], True)
        assert twins.objects(side) == good


@each_family
@each_side
async def test_an_object_that_was_changed_is_found_and_which_one_is_right(
    family: str, side: Side, good: Objects
) -> None:
    name = names_of(good, family)[-1]
    twins = await Twins.of(good)
    twins.replace(side, name, flipped(good[name]))
    found = (await compared(twins)).differences
    assert [each.name for each in found] == [name]
    assert found[0].good == [other(side)]
    assert found[0].judged[side].word is Word.WRONG
    done = await repaired(twins, side)
    assert (done.added, done.differing) == ([], 1)
    assert twins.objects(side)[name] == flipped(good[name])  # nothing is overwritten


@each_family
async def test_what_is_wrong_is_never_copied(family: str, good: Objects) -> None:
    """The one copy that is left was changed: neither has a good one, and that is said."""
    name = names_of(good, family)[0]
    twins = await Twins.of(good)
    twins.remove("secondary", name)
    twins.replace("primary", name, flipped(good[name]))
    done = await repaired(twins, "secondary")
    assert name not in twins.objects("secondary")
    assert done.added == []
    lost = [each.name for each in done.differences if not each.good]
    assert name in lost


def _nothing_left(twins: Twins, side: Side, good: Objects) -> list[str]:
    return sorted(good)


def _no_log(twins: Twins, side: Side, good: Objects) -> list[str]:
    return [name for name in good if name.startswith(("log/", "tile/"))]


def _no_tail(twins: Twins, side: Side, good: Objects) -> list[str]:
    """The last segment of each chain, the last batch, the last entry and part."""
    last: dict[str, str] = {}
    for name in sorted(good):
        last[name.rpartition("/")[0]] = name
    return sorted(last.values())


@each_side
@pytest.mark.parametrize("damage", [_nothing_left, _no_log, _no_tail])
async def test_what_was_destroyed_is_added_and_the_archive_verifies(
    damage: Callable[[Twins, Side, Objects], list[str]], side: Side, good: Objects
) -> None:
    twins = await Twins.of(good)
    gone = damage(twins, side, good)
    for name in gone:
        twins.remove(side, name)
    found = await compared(twins)
    assert found.alone == len(gone)
    assert verified(twins.objects(other(side))).verdict is Verdict.VERIFIED
    done = await repaired(twins, side)
    assert done.added_count == len(gone)
    assert verified(twins.objects(side)).verdict is Verdict.VERIFIED
    assert twins.objects(side) == good


async def test_a_whole_archive_is_composed_of_what_is_good_on_either(good: Objects) -> None:
    """One object of each family is wrong on one of the two, and others are gone from one."""
    twins = await Twins.of(good)
    for number, family in enumerate(FAMILIES):
        side = SIDES[number % 2]
        name = names_of(good, family)[0]
        twins.replace(side, name, flipped(good[name]))
        if len(names_of(good, family)) > 1:
            twins.remove(other(side), names_of(good, family)[-1])
    for side in SIDES:
        assert verified(twins.objects(side)).verdict is Verdict.FAILED
    into = MemoryWormStore()
    done = await Composing(twins.sides, twins.judge(), into).run()
    assert (done.lost, done.occupied, done.objects) == ([], [], len(good))
    objects = {name: each.data for name, each in into.objects.items()}
    assert objects == good
    assert verified(objects).verdict is Verdict.VERIFIED


async def test_composing_leaves_out_what_neither_has_good_and_says_so(good: Objects) -> None:
    twins = await Twins.of(good)
    name = names_of(good, "segment")[0]
    for side in SIDES:
        twins.replace(side, name, flipped(good[name]) if side == "primary" else b"junk")
    into = MemoryWormStore()
    done = await Composing(twins.sides, twins.judge(), into).run()
    assert (done.lost, done.lost_count) == ([name], 1)
    assert name not in into.objects


async def test_composing_goes_on_where_it_was_cut_off_and_overwrites_nothing(good: Objects) -> None:
    twins, into = await Twins.of(good), MemoryWormStore()
    first, second, *_ = sorted(good)
    await into.put_if_absent(first, good[first], {})
    await into.put_if_absent(second, b"another", {})
    done = await Composing(twins.sides, twins.judge(), into).run()
    assert done.occupied == [second]
    assert into.objects[second].data == b"another"


async def test_an_object_that_cannot_be_read_is_said_and_taken_from_the_other(
    good: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a service finds that its own disk was changed; a store that is away ends the run."""
    twins, name = await Twins.of(good), names_of(good, "segment")[0]
    store = twins.stores["primary"]
    get = store.get

    async def damaged(asked: str) -> bytes | None:
        if asked == name:
            raise StoreTransient("the checksum does not fit")
        return await get(asked)

    monkeypatch.setattr(store, "get", damaged)
    found = (await compared(twins)).differences
    assert [(each.name, each.good) for each in found] == [(name, ["secondary"])]
    assert "cannot be read" in found[0].judged["primary"].why
    into = MemoryWormStore()
    assert (await Composing(twins.sides, twins.judge(), into).run()).lost == []
    assert into.objects[name].data == good[name]
    store.outage = True
    with pytest.raises(StoreTransient):
        await compared(twins)


async def test_a_dry_run_adds_nothing(good: Objects) -> None:
    twins = await Twins.of(good)
    name = names_of(good, "segment")[0]
    twins.remove("primary", name)
    done = await Pairing(twins.sides, twins.judge(), add_to="primary", dry=True).run()
    assert done.added == [name]
    assert name not in twins.objects("primary")
    composed = await Composing(twins.sides, twins.judge(), None).run()
    assert composed.taken == {"primary": len(good) - 1, "secondary": 1}


async def test_a_walk_goes_on_behind_a_name(good: Objects) -> None:
    twins = await Twins.of(good)
    names = sorted(good)
    for name in (names[0], names[-1]):
        twins.remove("secondary", name)
    pairing = Pairing(twins.sides, twins.judge(), add_to="secondary", whole=False)
    done = await pairing.run(after=names[0])
    assert (done.added, done.last) == ([names[-1]], names[-1])


async def test_a_sweep_of_what_is_whole_reads_no_object(good: Objects) -> None:
    twins = await Twins.of(good)
    reads: list[str] = []
    for store in twins.stores.values():
        get = store.get

        async def counted(name: str, get=get) -> bytes | None:  # type: ignore[no-untyped-def]
            reads.append(name)
            return await get(name)

        store.get = counted  # type: ignore[method-assign]
    done = await Pairing(twins.sides, twins.judge(), add_to="secondary", whole=False).run()
    assert done.is_equal
    assert reads == []


async def test_strangers_and_each_stores_canaries_are_not_compared(good: Objects) -> None:
    twins = await Twins.of(good)
    for number, side in enumerate(SIDES):
        await twins.stores[side].put_if_absent("posture/1.0.json", b"%d" % number, {})
    await twins.stores["primary"].put_if_absent("notes/hello.txt", b"x", {})
    found = await compared(twins)
    assert (found.is_equal, found.strangers) == (True, 2)


async def test_an_unknown_map_is_known_by_its_hash_alone(good: Objects) -> None:
    twins = await Twins.of(good)
    await twins.stores["primary"].put_if_absent(map_name("ab" * 32), b"{}", {})
    done = await repaired(twins, "secondary")
    assert [each.judged["primary"].word for each in done.differences] == [Word.WRONG]

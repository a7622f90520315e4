"""What is disposed of goes from both stores, wherever the work is cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.archive.order import ArchiveOrder
from audit_stream.ports import Disposer
from audit_stream.redundancy.judge import Judge
from audit_stream.redundancy.pairing import Pairing
from audit_stream.redundancy.sides import SIDES, Sides
from audit_stream.stores.backlog import Bound
from audit_stream.stores.disposal.memory import MemoryDisposer
from audit_stream.stores.disposal.paired import PairedDisposer
from audit_stream.stores.memory_subjects import MemorySubjectStore
from audit_stream.stores.mirrored import MirroredStore, Mirroring
from tests.support import golden
from tests.support.clock import FakeClock
from tests.support.damage import verified
from tests.support.disposing import (
    DAY_MS,
    LATER_MS,
    LOG,
    CutOff,
    Cuts,
    Cutting,
    Scene,
    keyring_in,
    memory_store,
)
from tests.support.mirroring import resilient


class Both:
    """Scene and stores."""

    def __init__(self, folder: Path) -> None:
        self.stores = memory_store(), memory_store()
        clock = FakeClock()
        store = MirroredStore(
            resilient(self.stores[0], clock), resilient(self.stores[1], clock, "secondary"),
            ArchiveOrder(), Mirroring.BEFORE, Bound(seconds=60), clock=clock, told=lambda *_: None,
        )  # fmt: skip
        self.disposers = [MemoryDisposer(each) for each in self.stores]
        self.cuts = Cuts()
        paired: Disposer = PairedDisposer(
            *(Cutting(each, self.cuts, "remove_expired") for each in self.disposers)  # type: ignore[arg-type]
        )
        self.scene = Scene(store, MemorySubjectStore(), paired, keyring_in(folder), self._move)

    def _move(self, now_ms: int) -> None:
        for store in self.stores:
            store.move_clock(now_ms)

    @property
    def segments(self) -> list[int]:
        return [sum(n.startswith("segments/") for n in store.objects) for store in self.stores]


@pytest.fixture
async def both(tmp_path: Path) -> Both:
    made = Both(tmp_path)
    await made.scene.fill()
    await made.scene.at(LATER_MS)
    await made.scene.approved()
    return made


async def is_whole(both: Both) -> bool:
    """Each verifies alone, and nothing is to be copied."""
    for store in both.stores:
        report = verified({name: each.data for name, each in store.objects.items()})
        assert report.problems == []
    sides = Sides(*both.stores)
    for side in SIDES:
        judge = Judge(sides, golden.trusted(), LOG.key)
        done = await Pairing(sides, judge, add_to=side).run()
        assert done.added == []
        if not done.is_equal:
            return False
    return True


async def test_segments_go_from_both(both: Both) -> None:
    (carried,) = await both.scene.run()
    assert carried.owed == 0
    assert carried.removed > 0
    assert both.segments == [0, 0]
    assert await is_whole(both)


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_cut_off_anywhere_the_next_run_goes_on(both: Both, at: int, behind: bool) -> None:
    both.cuts.at, both.cuts.behind = at, behind
    with pytest.raises(CutOff):
        await both.scene.run()
    await is_whole(both)
    both.cuts.at = 0
    left = {n for store in both.stores for n in store.objects if n.startswith("segments/")}
    (owed,) = await both.scene.owed()
    assert {str(name) for name in owed.segments} == left
    await both.scene.run()
    assert both.segments == [0, 0]
    assert await is_whole(both)


async def test_what_the_second_keeps_longer_stays_on_both(both: Both) -> None:
    name = next(n for n in both.stores[1].objects if n.startswith("segments/"))
    await both.stores[1].extend_retention(name, LATER_MS + 30 * DAY_MS)
    await both.scene.run()
    assert [name in store.objects for store in both.stores] == [True, True]
    assert both.segments == [1, 1]


async def test_an_inventory_is_of_both_and_says_the_longer_time(both: Both) -> None:
    paired = PairedDisposer(*both.disposers)
    name = next(iter(both.stores[0].objects))
    until = LATER_MS + 99 * DAY_MS
    await both.stores[1].extend_retention(name, until)
    await both.stores[1].set_hold(name, True)
    await both.stores[1].put_if_absent("alone", b"x", {})
    kept = {each.name: each for each in await paired.kept("")}
    assert list(kept) == sorted({*both.stores[0].objects, "alone"})
    assert (kept[name].until_ms, kept[name].held) == (until, True)

"""What a hold was pushed to is written as it goes: each segment a few times, and none is lost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import StoreTransient, UnknownVersion
from audit_stream.evidence import layout
from audit_stream.evidence.hold import Kind
from audit_stream.evidence.layout import SegmentName
from audit_stream.holds.active import Place
from audit_stream.holds.journal import FULL, HELD, PARTS, HeldJournal, read_journal
from audit_stream.stores.memory_subjects import MemorySubjectStore
from tests.support.chains import SIGNER, stream_of
from tests.support.holding import AT, INDEX_KEY, LATER, Holding, wanted

TOPIC = "message_events"
PLACE: Place = (TOPIC, 1, 0)
HOLD = "h-0123456789abcdef"
_CHUNK = 2_000


class Weighing(MemorySubjectStore):
    """Counts the bytes that are written under the journals' names, and fails one of the writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[int] = []
        self.fails: tuple[int, bool] | None = None  # which, and whether it takes effect

    def _weigh(self, name: str, data: bytes) -> None:
        if name.startswith(HELD):
            if self.fails is not None and self.fails[0] == len(self.written):
                self.fail_next(1, self.fails[1])
            self.written.append(len(data))

    async def create(self, name: str, data: bytes) -> bool:
        self._weigh(name, data)
        return await super().create(name, data)

    async def replace(self, name: str, data: bytes, etag: str) -> bool:
        self._weigh(name, data)
        return await super().replace(name, data, etag)


@dataclass
class Weighed(Holding):
    """An archive's holds over one such store."""

    kept: Weighing = field(default_factory=Weighing)

    @property
    def subjects(self) -> Weighing:  # type: ignore[override]
        return self.kept


async def opened(folder: Path, segments: int) -> Weighed:
    """An archive of so many segments of one record; by range, none of them is looked into."""
    holding, stream = Weighed(folder), stream_of(TOPIC, partitions=1)
    name = layout.stream_name(TOPIC, stream.generation)
    await holding.store.put_if_absent(name, stream.encode(SIGNER), {})
    for base in range(segments):
        await holding.store.put_if_absent(str(SegmentName(*PLACE, base)), b"segment", {})
    return holding


async def held(holding: Holding, segments: int) -> list[int]:
    """The bases of those that the store holds."""
    names = [str(SegmentName(*PLACE, base)) for base in range(segments)]
    return [base for base, name in enumerate(names) if await holding.store.held(name)]


async def weighed(folder: Path, segments: int) -> Weighed:
    """All of them held."""
    holding = await opened(folder, segments)
    await holding.declare(wanted(Kind.RANGE, values=[f"{TOPIC}/1/0/0-{segments}"]))
    assert (await holding.enforcing.run(AT)).segments == segments
    assert await held(holding, segments) == list(range(segments))
    return holding


async def test_what_is_written_of_a_hold_grows_with_what_it_holds(tmp_path: Path) -> None:
    less, more = await weighed(tmp_path, 1_000), await weighed(tmp_path, 2_000)
    assert sum(more.kept.written) < 2.5 * sum(less.kept.written)


async def kept_journal(segments: int) -> Weighing:
    store = Weighing()
    private, journal = PrivateObjects(store, INDEX_KEY), HeldJournal(HOLD)
    for start in range(0, segments, _CHUNK):
        bases = set(range(start, start + _CHUNK))
        journal.note(PLACE, bases, owed=bases)
        journal.cursors[PLACE] = start + _CHUNK - 1
        await journal.keep(private)
    for part in journal.parts:
        part.settle(set())
        await part.keep(private)
    found = await read_journal(private, HOLD)
    assert found.segments == {(PLACE, base) for base in range(segments)}
    assert (found.owed, found.cursors) == (False, journal.cursors)
    return store


async def test_a_full_part_is_not_written_again_for_what_comes_behind_it() -> None:
    less, more = await kept_journal(3 * FULL), await kept_journal(6 * FULL)
    assert sum(more.written) < 2.5 * sum(less.written)
    assert max(more.written) < 1.2 * max(less.written)
    assert len(await more.names(f"{PARTS}{HOLD}/")) == 6


async def test_a_part_is_of_one_partition() -> None:
    journal, other = HeldJournal(HOLD), (TOPIC, 1, 1)
    for place, base in ((PLACE, 1), (other, 1), (PLACE, 2), (other, 3)):
        journal.note(place, {base}, owed={base})
    assert [(part.place, part.bases) for part in journal.parts] == [
        (PLACE, {1, 2}),
        (other, {1, 3}),
    ]


def whole(segments: Iterable[int], owed: Iterable[int], cursor: int) -> dict[str, object]:
    """A journal as the release before parts wrote it."""
    where = f"{TOPIC}/1/0"
    return {"cursors": {where: cursor}, "owed": {where: sorted(owed)},
            "segments": {where: sorted(segments)}, "v": "audit-held/1"}  # fmt: skip


async def test_a_journal_in_one_object_is_read_and_taken_apart() -> None:
    private = PrivateObjects(MemorySubjectStore(), INDEX_KEY)
    await private.create(HELD + HOLD, whole(range(FULL + 5), {3}, FULL + 9))
    journal = await read_journal(private, HOLD)
    assert journal.segments == {(PLACE, base) for base in range(FULL + 5)}
    assert ([part.owed for part in journal.parts], journal.cursors) == (
        [{3}, set()], {PLACE: FULL + 9},
    )  # fmt: skip
    await journal.parts[0].keep(private)  # a crash here leaves both
    again = await read_journal(private, HOLD)
    assert again.segments == journal.segments
    assert sum(len(part.bases) for part in again.parts) == FULL + 5
    await again.keep(private)
    kept = await private.get(HELD + HOLD)
    assert kept is not None
    assert kept.value.keys() == {"cursors", "v"}
    found = await read_journal(private, HOLD)
    assert (found.segments, found.cursors) == (journal.segments, journal.cursors)


async def test_what_a_journal_in_one_object_has_is_lifted(tmp_path: Path) -> None:
    holding = await weighed(tmp_path, 20)
    [hold] = await holding.holds.all()
    for name in await holding.private.names(HELD):
        await holding.private.discard(name)
    await holding.private.create(HELD + hold.hold_id, whole(range(20), (), 19))
    await holding.release(hold.hold_id)
    await holding.enforcing.run(LATER)
    assert await held(holding, 20) == []
    assert await holding.private.names(HELD) == []


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("write", range(3))  # a part, the cursors, and the part once more
async def test_a_crash_between_two_writes_of_a_journal_loses_no_segment(
    tmp_path: Path, write: int, stored: bool
) -> None:
    """Whatever was held is found by who lifts it, and what is to be held is."""
    holding = await opened(tmp_path, 20)
    hold_id = await holding.declare(wanted(Kind.RANGE, values=[f"{TOPIC}/1/0/5-14"]))
    holding.kept.fails = (write, stored)
    with pytest.raises(StoreTransient):
        await holding.enforcing.run(AT)
    holding.kept.fails = None
    assert {(PLACE, base) for base in await held(holding, 20)} <= (
        await read_journal(holding.private, hold_id)
    ).segments
    assert (await holding.enforcing.run(AT)).missing == []
    assert await held(holding, 20) == list(range(5, 15))
    await holding.release(hold_id)
    await holding.enforcing.run(LATER)
    assert await held(holding, 20) == []
    assert await holding.private.names(HELD) == []


async def test_a_journal_of_a_newer_release_is_not_read() -> None:
    private = PrivateObjects(MemorySubjectStore(), INDEX_KEY)
    await private.create(HELD + HOLD, {"cursors": {}, "v": "audit-held/9"})
    with pytest.raises(UnknownVersion):
        await read_journal(private, HOLD)

"""Access journals in the log: one line a batch, cumulative, by whichever notary."""

from __future__ import annotations

import pytest

from audit_stream.evidence.access import (
    AccessLine,
    JournalHead,
    JournalPart,
    decode_access_line,
    is_access_line,
)
from audit_stream.evidence.log_names import access_folder
from audit_stream.notary.accessed import MOST_PARTS
from audit_stream.stores.memory import MemoryWormStore
from tests.support.access import JOURNAL, chained, entry, part
from tests.support.logs import WrittenLog


async def put(store: MemoryWormStore, *parts: JournalPart) -> None:
    for each in parts:
        await store.put_if_absent(each.name, each.encode(), {})


async def lines_in(log: WrittenLog) -> list[AccessLine]:
    leaves = [leaf async for batch in log.log.batches(0) for leaf in batch.leaves]
    return [decode_access_line(each.line, "it") for each in leaves if is_access_line(each.line)]


def reached(parts: list[JournalPart]) -> AccessLine:
    return AccessLine({JOURNAL: JournalHead(len(parts), parts[-1].leaf)})


async def test_every_batch_says_how_far_each_journal_is_logged() -> None:
    log, parts = WrittenLog(), chained(4)
    assert (await log.grow(2)).size == 2
    await put(log.store, *parts[:3])
    await log.grow(2)
    await put(log.store, parts[3])
    await log.grow(1)
    assert await lines_in(log) == [reached(parts[:3]), reached(parts[:3]), reached(parts)]


async def test_several_journals_stand_in_one_line() -> None:
    log = WrittenLog()
    others = [
        JournalPart(archive=part(0, entry("x")).archive, journal=journal, number=0, prev=None,
                    entries=(entry("x"),))
        for journal in ("0" * 16, "f" * 16)
    ]  # fmt: skip
    await put(log.store, *chained(2), *others)
    await log.grow(1)
    (line,) = await lines_in(log)
    assert {journal: head.next for journal, head in line.heads.items()} == {
        "0" * 16: 1, JOURNAL: 2, "f" * 16: 1,
    }  # fmt: skip


async def test_another_notary_and_one_that_starts_again_go_on_where_the_log_is() -> None:
    log, parts = WrittenLog(), chained(5)
    await put(log.store, *parts[:2])
    await log.grow(1)
    again = WrittenLog(store=log.store)
    await again.resume()
    await put(log.store, *parts[2:4])
    await again.grow(1)
    await put(log.store, parts[4])
    await log.grow(1)  # the first notary, which has not written that
    assert [line.heads[JOURNAL].next for line in await lines_in(log)] == [2, 4, 5]


class Reading(MemoryWormStore):
    """Notes what is read and listed."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []
        self.listed: list[str] = []

    async def get(self, name: str) -> bytes | None:
        self.read.append(name)
        return await super().get(name)

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        found = await super().names(prefix, after=after)  # as a store does that cannot skip
        self.listed += found
        return found[:limit]


async def test_a_notary_that_starts_does_not_read_what_is_logged_again() -> None:
    store, parts = Reading(), chained(4)
    log = WrittenLog(store=store)
    await put(store, *parts[:3])
    await log.grow(3)
    again = WrittenLog(store=store)
    await put(store, parts[3])
    store.read.clear()
    await again.resume()
    await again.grow(1)
    assert (await lines_in(again))[-1] == reached(parts)
    assert not {part.name for part in parts[:3]} & set(store.read)
    assert {name for name in store.listed if name.startswith("access/")} == {parts[0].name}
    store.read.clear()
    await again.grow(2)
    assert not {part.name for part in parts} & set(store.read)


async def test_a_batch_does_not_wait_for_months_of_parts() -> None:
    """A notary that comes late logs them over some batches, each journal in its turn."""
    log, parts = WrittenLog(), chained(MOST_PARTS + 10)
    young = JournalPart(archive=parts[0].archive, journal="f" * 16, number=0, prev=None,
                        entries=(entry("x"),))  # fmt: skip
    await put(log.store, *parts, young)
    await log.grow(3)
    first, second, third = await lines_in(log)
    assert {name: head.next for name, head in first.heads.items()} == {JOURNAL: MOST_PARTS}
    assert second == third == AccessLine({
        JOURNAL: JournalHead(len(parts), parts[-1].leaf), "f" * 16: JournalHead(1, young.leaf),
    })  # fmt: skip


@pytest.mark.parametrize("kind", ["forged", "another's", "no chain", "wrong name"])
async def test_what_does_not_follow_is_left_out_and_loud(kind: str) -> None:
    log, parts = WrittenLog(), chained(3)
    await put(log.store, *parts[:2])
    data = {
        "forged": parts[2].encode().replace(b"m2", b"m3"),
        "another's": part(2, entry("x"), prev=parts[0].leaf).encode(),
        "no chain": part(2, entry("x")).encode(),
        "wrong name": parts[1].encode(),
    }[kind]
    await log.store.put_if_absent(parts[2].name, data, {})
    await log.grow(2)
    assert await lines_in(log) == [reached(parts[:2])] * 2
    assert log.alarmed == [f"fork:access/{JOURNAL}"]


async def test_strange_names_beside_journals_are_passed_over() -> None:
    log, parts = WrittenLog(), chained(1)
    first = access_folder(0)
    for name in ("access/a.txt", f"{first}x", f"{first}{JOURNAL}.txt", f"access/1/{JOURNAL}"):
        await log.store.put_if_absent(name, b"x", {})
    await put(log.store, *parts)
    await log.grow(1)
    assert await lines_in(log) == [reached(parts)]

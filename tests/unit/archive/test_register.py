"""Registers: appended by several at once, followed, and what does not belong passed over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from audit_stream.archive.register import RegisterReader, RegisterWriter
from audit_stream.errors import ForkAlarm, StoreTransient, UnknownVersion
from audit_stream.evidence.register import Entry, Register, decode_entry
from audit_stream.evidence.signing import LineSigner
from audit_stream.ports import PutResult
from audit_stream.stores.memory import MemoryWormStore
from tests.support.chains import NAME, SIGNER, TRUSTED

OTHER = LineSigner(b"\x13" * 32)


def writer(store: MemoryWormStore, archive: str = NAME) -> RegisterWriter:
    return RegisterWriter(store, TRUSTED, archive, Register.HOLDS)


async def test_entries_are_numbered_and_chained() -> None:
    store = MemoryWormStore()
    first = await writer(store).append({"a": 1}, SIGNER)
    second = await writer(store).append({"a": 2}, SIGNER)
    assert (first.number, first.prev, second.number, second.prev) == (0, None, 1, first.leaf)
    reader = RegisterReader(store, TRUSTED, NAME, Register.HOLDS)
    assert [each.said for each in await reader.new_entries()] == [{"a": 1}, {"a": 2}]
    assert await reader.new_entries() == []
    await writer(store).append({"a": 3}, SIGNER)
    assert [each.number for each in await reader.new_entries()] == [2]


async def test_many_at_once_lose_nothing() -> None:
    store = MemoryWormStore()
    await asyncio.gather(*(writer(store).append({"a": n}, SIGNER) for n in range(10)))
    reader = RegisterReader(store, TRUSTED, NAME, Register.HOLDS)
    assert sorted(each.said["a"] for each in await reader.new_entries()) == list(range(10))


@pytest.mark.parametrize("junk", [b"junk", b'{"v":"audit-hold/1"}\n{"sig":""}\n'])
async def test_junk_is_passed_over(junk: bytes) -> None:
    store = MemoryWormStore()
    first = await writer(store).append({"a": 1}, SIGNER)
    await store.put_if_absent(Register.HOLDS.entry_name(1), junk, {})
    third = await writer(store).append({"a": 3}, SIGNER)
    assert (third.number, third.prev) == (2, first.leaf)
    reader = RegisterReader(store, TRUSTED, NAME, Register.HOLDS)
    assert len(await reader.new_entries()) == 2
    assert reader.junk == [Register.HOLDS.entry_name(1)]


async def test_what_another_key_signed_or_of_another_archive_is_junk() -> None:
    store = MemoryWormStore()
    for number, (archive, key) in enumerate(((NAME, OTHER), ("another", SIGNER))):
        entry = Entry(register=Register.HOLDS, archive=archive, kid=key.kid, number=number,
                      prev=None, said={})  # fmt: skip
        await store.put_if_absent(entry.name, entry.encode(key), {})
    assert (await writer(store).append({}, SIGNER)).number == 2


async def test_an_entry_that_was_taken_away_shows() -> None:
    whole, without = MemoryWormStore(), MemoryWormStore()
    for number in range(3):
        entry = await writer(whole).append({"a": number}, SIGNER)
        if number != 1:
            await without.put_if_absent(entry.name, entry.encode(SIGNER), {})
    with pytest.raises(ForkAlarm, match="does not follow"):
        await RegisterReader(without, TRUSTED, NAME, Register.HOLDS).new_entries()


def test_a_newer_releases_entry_is_not_judged() -> None:
    entry = Entry(register=Register.HOLDS, archive=NAME, kid=SIGNER.kid, number=0, prev=None,
                  said={})  # fmt: skip
    data = entry.encode(SIGNER).replace(b"audit-hold/1", b"audit-hold/2")
    with pytest.raises(UnknownVersion):
        decode_entry(data, entry.name)


class Counting(MemoryWormStore):
    """Counts what is asked of it."""

    asked = 0

    async def get(self, name: str) -> bytes | None:
        self.asked += 1
        return await super().get(name)

    async def put_if_absent(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        self.asked += 1
        return await super().put_if_absent(name, data, metadata)

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        self.asked += 1
        return await super().names(prefix, after=after, limit=limit)


async def test_many_in_a_row_cost_a_put_and_a_read_each() -> None:
    store = Counting()
    appending = writer(store)
    for number in range(50):
        entry = await appending.append({"a": number}, SIGNER)
        assert entry.is_signed(TRUSTED)
        assert appending.last == entry
    assert store.asked == 1 + 2 * 50
    await writer(store).append({"a": 50}, SIGNER)  # another one, meanwhile
    assert (await appending.append({"a": 51}, SIGNER)).number == 51
    reader = RegisterReader(store, TRUSTED, NAME, Register.HOLDS)
    assert [each.said["a"] for each in await reader.new_entries()] == list(range(52))


async def test_nobody_can_use_up_the_numbers() -> None:
    """Junk far ahead, put by who may create objects: entries go on one by one, also past it."""
    store = MemoryWormStore()
    for number in (2, 10**20 - 1):
        await store.put_if_absent(Register.HOLDS.entry_name(number), b"junk", {})
    await store.put_if_absent("holds/zzz.txt", b"junk", {})
    reader = RegisterReader(store, TRUSTED, NAME, Register.HOLDS)
    appending = writer(store)
    assert [(await appending.append({"a": n}, SIGNER)).number for n in range(3)] == [0, 1, 3]
    assert [each.number for each in await reader.new_entries()] == [0, 1, 3]
    await appending.append({"a": 3}, SIGNER)
    assert [each.number for each in await reader.new_entries()] == [4]
    assert sorted(set(reader.junk)) == sorted(reader.junk)


class Failing(MemoryWormStore):
    """Cannot read one object for a while."""

    away: str | None = None

    async def get(self, name: str) -> bytes | None:
        if name == self.away:
            raise StoreTransient("no answer")
        return await super().get(name)


async def test_a_read_that_fails_loses_no_entry() -> None:
    store = Failing()
    for number in range(3):
        await writer(store).append({"a": number}, SIGNER)
    reader = RegisterReader(store, TRUSTED, NAME, Register.HOLDS)
    store.away = Register.HOLDS.entry_name(2)
    with pytest.raises(StoreTransient):
        await reader.new_entries()
    store.away = None
    assert [each.number for each in await reader.new_entries()] == [0, 1, 2]


class Late(MemoryWormStore):
    """Its first listing misses what was put while it was made."""

    missed: str | None = None

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        found = await super().names(prefix, after=after, limit=limit)
        missed, self.missed = self.missed, None
        return [name for name in found if name != missed]


async def test_a_listing_that_missed_an_entry_is_no_fork() -> None:
    store = Late()
    for number in range(3):
        await writer(store).append({"a": number}, SIGNER)
    store.missed = Register.HOLDS.entry_name(1)
    reader = RegisterReader(store, TRUSTED, NAME, Register.HOLDS)
    assert [each.number for each in await reader.new_entries()] == [0, 1, 2]


async def test_a_fork_is_raised_again_and_what_stands_before_it_is_not_lost() -> None:
    store = MemoryWormStore()
    first = await writer(store).append({"a": 0}, SIGNER)
    forked = Entry(register=Register.HOLDS, archive=NAME, kid=SIGNER.kid, number=1,
                   prev=bytes(32), said={})  # fmt: skip
    await store.put_if_absent(forked.name, forked.encode(SIGNER), {})
    reader = RegisterReader(store, TRUSTED, NAME, Register.HOLDS)
    for _ in range(2):
        with pytest.raises(ForkAlarm):
            await reader.new_entries()
    entries, wrong = await reader.read_on(10)
    assert [each.number for each in entries] == [0]
    assert isinstance(wrong, ForkAlarm)
    assert reader.last is not None
    assert reader.last.leaf == first.leaf


async def test_reading_begins_behind_a_known_entry() -> None:
    store = MemoryWormStore()
    entries = [await writer(store).append({"a": number}, SIGNER) for number in range(3)]
    reader = RegisterReader(store, TRUSTED, NAME, Register.HOLDS, entries[1].head)
    assert [each.number for each in await reader.new_entries()] == [2]


async def test_what_nobody_signed_for_a_newer_release_is_junk() -> None:
    store = MemoryWormStore()
    entry = Entry(register=Register.HOLDS, archive=NAME, kid=SIGNER.kid, number=0, prev=None,
                  said={})  # fmt: skip
    line = entry.line().replace(b"audit-hold/1", b"audit-hold/2")
    for number, signer in enumerate((OTHER, SIGNER)):
        data = line + b"\n" + signer.signature_line(line) + b"\n"
        await store.put_if_absent(Register.HOLDS.entry_name(number), data, {})
    reader = RegisterReader(store, TRUSTED, NAME, Register.HOLDS)
    entries, wrong = await reader.read_on(10)
    assert (entries, reader.junk) == ([], [Register.HOLDS.entry_name(0)])
    assert isinstance(wrong, UnknownVersion)

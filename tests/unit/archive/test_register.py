"""Registers: appended by several at once, followed, and what does not belong passed over."""

from __future__ import annotations

import asyncio

import pytest

from audit_stream.archive.register import RegisterReader, RegisterWriter
from audit_stream.errors import ForkAlarm, UnknownVersion
from audit_stream.evidence.register import Entry, Register, decode_entry
from audit_stream.evidence.signing import LineSigner
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

"""The register of redactions without reading all of it: the newest, and where an epoch begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.archive.certificates import Certificate, Certificates, newest_first
from audit_stream.errors import ForkAlarm, UnknownVersion
from audit_stream.evidence.register import Entry, Register
from audit_stream.evidence.signing import LineSigner
from audit_stream.stores.memory import MemoryWormStore
from tests.support.chains import NAME, SIGNER, TRUSTED
from tests.support.registers import put, put_certificates, redaction, store_entries

OTHER = LineSigner(b"\x13" * 32)


class Counting(MemoryWormStore):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    async def get(self, name: str) -> bytes | None:
        self.reads += 1
        return await super().get(name)


def certificates(store: MemoryWormStore) -> Certificates:
    return Certificates(store, TRUSTED, NAME)


def number_of(found: Certificate | None) -> int | None:
    return None if found is None else found.number


async def test_the_newest_is_found_without_reading_the_others() -> None:
    store = Counting()
    await put_certificates(store, 40)
    store.reads = 0
    found = certificates(store)
    assert await found.poll()
    assert number_of(found.newest) == 39
    assert store.reads == 1
    assert not await found.poll()
    assert store.reads == 1
    await put_certificates(store, 3, start=40)
    store.reads = 0
    assert await found.poll()
    assert (number_of(found.newest), store.reads) == (42, 1)


async def test_an_archive_in_which_nobody_was_erased_has_none() -> None:
    found = certificates(MemoryWormStore())
    assert not await found.poll()
    assert found.newest is None
    assert await found.first_above(0) is None


async def test_what_no_trusted_key_signed_for_this_archive_is_passed_over() -> None:
    store = MemoryWormStore()
    await put_certificates(store, 2)
    said = redaction(2).said()
    for number, (archive, key) in enumerate(((NAME, OTHER), ("another", SIGNER)), start=2):
        entry = Entry(register=Register.REDACTIONS, archive=archive, kid=key.kid, number=number,
                      prev=None, said=said)  # fmt: skip
        await store_entries(store, entry, signer=key)
    await store.put_if_absent(Register.REDACTIONS.entry_name(4), b"junk", {})
    found = certificates(store)
    assert await found.poll()
    assert number_of(found.newest) == 1
    assert not await found.poll()
    assert [each.number async for each in newest_first(store)] == [3, 2, 1, 0]


async def test_one_of_an_earlier_epoch_is_a_fork() -> None:
    store = MemoryWormStore()
    await put_certificates(store, 5)
    found = certificates(store)
    await found.poll()
    await put(store, Register.REDACTIONS, redaction(5, epochs=[0, 1]).said())
    with pytest.raises(ForkAlarm, match="earlier epoch"):
        await found.poll()


async def test_a_clock_that_was_set_back_is_no_fork() -> None:
    store = MemoryWormStore()
    await put_certificates(store, 5)
    found = certificates(store)
    await found.poll()
    changes = {"executed_at": "2026-11-25T00:00:00.000Z"}
    await put(store, Register.REDACTIONS, redaction(5, **changes).said())
    assert await found.poll()
    assert found.newest is not None
    assert found.newest.number == 5


async def test_a_newer_releases_certificate_is_not_judged() -> None:
    store = MemoryWormStore()
    [entry] = await put_certificates(store, 1)
    data = entry.encode(SIGNER).replace(b"audit-redaction/1", b"audit-redaction/2")
    await store.put_if_absent(Register.REDACTIONS.entry_name(1), data, {})
    with pytest.raises(UnknownVersion):
        await certificates(store).poll()


@given(
    steps=st.lists(st.sampled_from(["same", "next", "junk"]), min_size=1, max_size=24),
    wanted=st.integers(0, 26),
)
async def test_where_an_epoch_begins(steps: list[str], wanted: int) -> None:
    """Batches of one epoch, junk between: as counting them all says."""
    store, epoch, there = MemoryWormStore(), 1, {}
    for number, step in enumerate(steps):
        if step == "junk":
            await store.put_if_absent(Register.REDACTIONS.entry_name(number), b"junk", {})
            continue
        epoch += step == "next"
        [entry] = await put(
            store, Register.REDACTIONS, redaction(number, epochs=[epoch, epoch + 1]).said()
        )
        there[entry.number] = epoch + 1
    found = certificates(store)
    await found.poll()
    for _ in range(2):  # the second time it is remembered
        first = number_of(await found.first_above(wanted))
        assert first == min((n for n, each in there.items() if each > wanted), default=None)
    behind = len(steps) if first is None else first
    before = [number for number in there if number < behind]
    assert number_of(await found.below(behind)) == max(before, default=None)

"""Registers in the log: each entry a leaf, once, in the order of its chain, by whichever notary."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_stream.evidence.register import Register, RegisterHead, parse_entry_name
from audit_stream.evidence.signing import LineSigner
from audit_stream.stores.memory import MemoryWormStore
from tests.support.access import chained as journal
from tests.support.chains import SIGNER, ChainMaker, stream_of
from tests.support.logs import WrittenLog
from tests.support.registers import chained, put, put_certificates, redaction, store_entries

REDACTIONS, HOLDS = Register.REDACTIONS, Register.HOLDS
STRANGER = LineSigner(b"\x77" * 32)


async def logged(log: WrittenLog) -> list[str]:
    """Names of the registers' leaves, whose lines are what is stored under them."""
    names = []
    async for batch in log.log.batches(0):
        for leaf in batch.leaves:
            if leaf.name is not None and parse_entry_name(leaf.name) is not None:
                assert (await log.store.get(leaf.name) or b"").startswith(leaf.line + b"\n")
                names.append(leaf.name)
    return names


async def test_entries_are_leaves_in_the_order_of_their_chains() -> None:
    log = WrittenLog()
    redactions = await put_certificates(log.store, 2)
    holds = await put(log.store, HOLDS, {"a": 1})
    head = await log.grow(1)
    assert await logged(log) == [each.name for each in (*redactions, *holds)]
    assert head.digest.registers == {REDACTIONS: redactions[1].head, HOLDS: holds[0].head}
    redactions += await put_certificates(log.store, 1, start=2)
    head = await log.grow(1)
    assert (await logged(log))[3:] == [redactions[2].name]
    assert head.digest.registers == {REDACTIONS: redactions[2].head, HOLDS: holds[0].head}
    assert log.alarmed == []


async def test_an_archive_without_registers_has_the_digests_it_had() -> None:
    head = await WrittenLog().grow(1)
    assert head.digest.registers == {}
    assert b"registers" not in head.digest.line()


async def test_a_thousand_certificates_are_logged_at_once_and_hold_up_no_segment() -> None:
    log = WrittenLog()
    maker = ChainMaker(log.store, stream_of("t"))
    await maker.found()
    said = [redaction(number).said() for number in range(1000)]
    entries = chained(REDACTIONS, *said)
    await store_entries(log.store, *entries)
    await store_entries(log.store, *chained(HOLDS, {"a": 1}))
    await log.grow(1)
    names = [await maker.add() for _ in range(300)]
    part = journal(1)[0]
    await log.store.put_if_absent(part.name, part.encode(), {})
    await store_entries(log.store, *chained(REDACTIONS, *said[:300], begin=entries[-1].head))
    await log.grow(1)
    assert await logged(log) == [
        *(each.name for each in entries), HOLDS.entry_name(0),
        *(REDACTIONS.entry_name(number) for number in range(1000, 1300)),
    ]  # fmt: skip
    batches = [batch async for batch in log.log.batches(0)]
    assert max(len(batch.leaves) for batch in batches) <= 257
    with_segments = [batch for batch in batches if any(leaf.name in names for leaf in batch.leaves)]
    assert all(any(leaf.name and parse_entry_name(leaf.name) for leaf in batch.leaves)
               for batch in with_segments)  # fmt: skip


async def test_another_notary_and_one_that_starts_again_go_on_where_the_log_is() -> None:
    log = WrittenLog()
    entries = await put_certificates(log.store, 2)
    await log.grow(1)
    again = WrittenLog(store=log.store)
    await again.resume()
    entries += await put_certificates(log.store, 2, start=2)
    await again.grow(1)
    entries += await put_certificates(log.store, 1, start=4)
    await log.grow(1)  # the first notary, which has not written the two before
    assert await logged(log) == [each.name for each in entries]
    last = WrittenLog(store=log.store)
    await last.resume()
    head = await last.grow(1)
    assert head.digest.registers == {REDACTIONS: entries[-1].head}
    assert log.alarmed == again.alarmed == []


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
        self.listed.append(prefix)
        return await super().names(prefix, after=after, limit=limit)


async def test_what_is_logged_is_not_read_again_and_idle_costs_a_list_a_register() -> None:
    store = Reading()
    log = WrittenLog(store=store)
    first = await put_certificates(store, 3)
    await log.grow(1)
    again = WrittenLog(store=store)
    (new,) = await put_certificates(store, 1, start=3)
    store.read.clear()
    await again.resume()
    await again.grow(1)
    assert await logged(again) == [each.name for each in (*first, new)]
    store.read.clear()
    store.listed.clear()
    await again.grow(1)
    assert [name for name in store.read if parse_entry_name(name)] == []
    folders = [register.folder for register in Register]
    # A batch, and the look that finds nothing more.
    assert sorted(name for name in store.listed if name in folders) == sorted(folders * 2)


async def test_a_batch_that_another_notary_won_is_not_repeated() -> None:
    """Both read the same entries; one puts its batch first."""
    log = WrittenLog()
    other = WrittenLog(store=log.store)
    entries = await put_certificates(log.store, 200)
    await other.grow(1)
    await log.grow(1)
    assert await logged(log) == [each.name for each in entries]


@pytest.mark.parametrize("junk", ["bytes", "stranger's", "another archive's"])
async def test_junk_is_passed_over_also_by_who_starts(junk: str) -> None:
    log = WrittenLog()
    (first,) = await put(log.store, HOLDS, {"a": 1})
    second = chained(HOLDS, {"a": 2}, begin=first.head)[0]
    data = {
        "bytes": b"junk", "stranger's": second.encode(STRANGER),
        "another archive's": chained(HOLDS, {"a": 2}, begin=first.head, archive="x")[0].encode(
            SIGNER),
    }[junk]  # fmt: skip
    await log.store.put_if_absent(second.name, data, {})
    await log.grow(1)
    (third,) = await put(log.store, HOLDS, {"a": 3})
    again = WrittenLog(store=log.store)
    await again.resume()
    await again.grow(1)
    assert await logged(log) == [first.name, third.name]
    assert (third.number, log.alarmed, again.alarmed) == (2, [], [])


@pytest.mark.parametrize("kind", ["no chain", "a hole", "a newer version"])
async def test_what_does_not_fit_is_left_out_and_loud(kind: str) -> None:
    log = WrittenLog()
    first, second = chained(HOLDS, {"a": 1}, {"a": 2})
    bad = {
        "no chain": replace(second, prev=bytes(32)),
        "a hole": chained(HOLDS, {"a": 2}, begin=RegisterHead(2, first.leaf))[0],
        "a newer version": second,
    }[kind]
    await store_entries(log.store, first)
    data = bad.encode(SIGNER)
    if kind == "a newer version":
        line = bad.line().replace(b"audit-hold/1", b"audit-hold/2")
        data = line + b"\n" + SIGNER.signature_line(line) + b"\n"
    await log.store.put_if_absent(bad.name, data, {})
    await put_certificates(log.store, 1)
    head = await log.grow(2)
    assert await logged(log) == [REDACTIONS.entry_name(0), first.name]
    assert (log.alarmed, log.left_out) == (["fork:holds"], 1)
    assert head.digest.registers[HOLDS] == first.head
    again = WrittenLog(store=log.store)
    await again.resume()
    await again.grow(1)
    assert (again.alarmed, again.left_out) == (["fork:holds"], 1)

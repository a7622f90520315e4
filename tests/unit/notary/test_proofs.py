"""Proofs out of the young end of a log, where there are no tiles yet."""

from __future__ import annotations

import pytest

from audit_stream.errors import FormatError
from audit_stream.evidence.batch import Batch, Leaf
from audit_stream.evidence.log_names import LOG_FOLDER, batch_name
from audit_stream.evidence.tree import verify_inclusion
from audit_stream.notary.log import ArchiveLog
from audit_stream.stores.memory import MemoryWormStore
from tests.support.access import chained
from tests.support.counting import Asked
from tests.support.logs import SIGNER, WrittenLog


class Counting(MemoryWormStore):
    """Counts what is read."""

    reads = 0

    async def get(self, name: str) -> bytes | None:
        self.reads += 1
        return await super().get(name)


async def test_a_batch_is_read_once_for_many_proofs_and_again_when_the_log_grew() -> None:
    store = Counting()
    written = WrittenLog(store=store)
    reader = ArchiveLog(store, SIGNER.key)
    for batches in (40, 30, 230):
        head = await written.grow(batches)
        store.reads = 0
        for index in range(head.size):
            path = await reader.inclusion(index, head)
            leaf = (await reader.hashes(0, index, 1))[0]
            assert verify_inclusion(leaf, index, head.size, path, head.root)
        assert store.reads <= head.size + 10  # each batch once, and a few tiles looked for


@pytest.mark.parametrize(
    ("start", "found"), [(100_000, 99_990), (100_089, 99_990), (100_090, 100_090)]
)
async def test_a_batch_is_looked_for_in_its_block_and_the_one_before(
    start: int, found: int
) -> None:
    """The folder has years of them, and not every store can begin a listing in its middle."""
    asked, checkpoint = (
        Asked(MemoryWormStore()),
        (await WrittenLog().grow(1)).note.encode().decode(),
    )
    for old_size, leaves in ((0, 1), (99_990, 100), (100_090, 5)):
        batch = Batch(old_size=old_size, leaves=[Leaf(b"{}")] * leaves, checkpoint=checkpoint)
        await asked.put_if_absent(batch_name(old_size), batch.encode(), {})
    log = ArchiveLog(asked, SIGNER.key)  # type: ignore[arg-type]
    first, *_ = [batch.old_size async for batch in log.batches(start)]
    assert first == found
    assert not asked.times(LOG_FOLDER)


async def test_what_is_not_logged_yet_is_not_proven() -> None:
    written = WrittenLog()
    head = await written.grow(5)
    with pytest.raises(FormatError, match="does not hold leaf 5"):
        await written.log.hashes(0, 3, 3)
    assert len(await written.log.hashes(0, 3, 2)) == head.size - 3


async def test_a_batch_that_was_mended_is_read_again() -> None:
    store = MemoryWormStore()
    head = await WrittenLog(store=store).grow(5)
    other = MemoryWormStore()
    for name in await store.names(""):
        if name != batch_name(2):
            await other.put_if_absent(name, await store.get(name) or b"", {})
    reader = ArchiveLog(other, SIGNER.key)
    with pytest.raises(FormatError):
        await reader.inclusion(3, head)
    await other.put_if_absent(batch_name(2), await store.get(batch_name(2)) or b"", {})
    assert await reader.inclusion(3, head)


@pytest.mark.parametrize("stray", ["log/-", "log/0"])
async def test_a_stray_name_among_the_batches_hides_none(stray: str) -> None:
    written = WrittenLog()
    first = chained(1)[0]
    await written.store.put_if_absent(first.name, first.encode(), {})
    head = await written.grow(3)  # of two leaves each: that of a journal and the digest
    await written.store.put_if_absent(stray, b"x", {})
    assert [batch.old_size async for batch in written.log.batches(3)] == [2, 4]
    assert await ArchiveLog(written.store, SIGNER.key).inclusion(3, head)

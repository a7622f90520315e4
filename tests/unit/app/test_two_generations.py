"""What reads an archive of two generations: coverage, epoch check, folding."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from audit_stream.app.checks import check_epoch
from audit_stream.archive.coverage import Coverage
from audit_stream.archive.fold import states_of
from audit_stream.errors import KeyringError
from audit_stream.evidence.layout import stream_name
from audit_stream.evidence.segment import decode
from audit_stream.evidence.signing import LineSigner
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.keys.file import LoadedKeyring
from audit_stream.stores.memory import MemoryWormStore
from tests.support import golden
from tests.support.resealed import (
    MESSAGES,
    OBJECTS,
    SIGNER,
    ending_of,
    name,
    only,
    resigned,
    second_generation,
    stream_of,
)

CLOSED = second_generation(MESSAGES, closed=False)
ENDING = ending_of(CLOSED, MESSAGES)
CLOSED[name(MESSAGES, ENDING.base)] = ENDING.encode(SIGNER)
ENDS = {(MESSAGES, 0): (0, ENDING.base)}


async def stored(objects: dict[str, bytes]) -> MemoryWormStore:
    store = MemoryWormStore()
    for each, data in objects.items():
        await store.put_if_absent(each, data, {})
    return store


async def covered(
    objects: dict[str, bytes], ends: dict[tuple[str, int], tuple[int, int]] = ENDS
) -> Coverage:
    coverage = Coverage(await stored(objects), golden.trusted())
    await coverage.update(ends)
    await coverage.update(ends)  # the second reads only what is new
    return coverage


async def test_coverage_tells_what_each_generation_covers() -> None:
    coverage = await covered(CLOSED)
    assert (coverage.to_come, coverage.unexplained) == (0, 0)
    [older] = coverage.older
    assert (older.generation, older.next, older.end) == (1, ENDING.base, ENDING.base)
    assert older.counts == coverage.partitions[MESSAGES, 0].counts
    assert older.counts.total() == ENDING.base


class FarStore(MemoryWormStore):
    """Answers about segments only when several are asked for."""

    def __init__(self, together: int) -> None:
        super().__init__()
        self._asked = asyncio.Barrier(together)

    async def get(self, name: str) -> bytes | None:
        if name.startswith("segments/"):
            await self._asked.wait()
        return await super().get(name)


async def test_segments_of_a_far_store_are_waited_for_together() -> None:
    objects = only(MESSAGES)
    count = sum(each.startswith("segments/") for each in objects)
    assert count > 1
    store = FarStore(count)
    for each, data in objects.items():
        await store.put_if_absent(each, data, {})
    coverage = Coverage(store, golden.trusted())
    async with asyncio.timeout(30):
        await coverage.update(ENDS)
    assert (coverage.to_come, coverage.unexplained) == (0, 0)


async def test_junk_hides_nothing_even_where_the_segment_behind_it_came_later() -> None:
    last = name(MESSAGES, 240)
    objects = {n: data for n, data in OBJECTS.items() if n != last}
    store = await stored(objects | {last: b"junk"})
    coverage = Coverage(store, golden.trusted())
    await coverage.update(ENDS)
    assert coverage.to_come == ENDING.base - 240
    await store.put_if_absent(name(MESSAGES, 240, 1), OBJECTS[last], {})
    await coverage.update(ENDS)
    assert (coverage.to_come, coverage.unexplained) == (0, 0)


async def test_what_nobody_trusted_signed_covers_nothing() -> None:
    stranger = LineSigner(b"\x07" * 32)
    forged = resigned(OBJECTS[name(MESSAGES, 240)], signer=stranger)
    assert (await covered(OBJECTS | {name(MESSAGES, 240): forged})).to_come == ENDING.base - 240


async def test_what_an_ended_chain_lacks_is_unexplained() -> None:
    objects = {n: data for n, data in CLOSED.items() if n != name(MESSAGES, 240)}
    assert (await covered(objects)).unexplained == ENDING.base - 240


async def test_offsets_between_two_generations_of_one_topic_are_unexplained() -> None:
    def later(stream: StreamObject) -> StreamObject:
        return replace(stream, topic_id="id", genesis=[ENDING.base + 7])

    objects = second_generation(MESSAGES, later, closed=False)
    objects = {n: data for n, data in objects.items() if "segments/" not in n or "/00001/" in n}
    objects[stream_name(MESSAGES, 1)] = replace(stream_of(MESSAGES), topic_id="id").encode(SIGNER)
    ends = {(MESSAGES, 0): (0, ENDING.base + 7)}
    assert (await covered(objects, ends)).unexplained == 7


async def test_a_partition_the_generation_does_not_have_is_all_to_come() -> None:
    coverage = await covered(CLOSED, ENDS | {(MESSAGES, 1): (3, 10)})
    assert (coverage.to_come, coverage.unexplained) == (7, 0)


async def test_an_older_keyring_is_refused_though_the_new_generation_is_empty() -> None:
    objects = {n: data for n, data in CLOSED.items() if "segments/" not in n or "/00001/" in n}
    ring = LoadedKeyring(golden.KEYRING, memoryview(golden.COVER))
    older = replace(ring, keyring=replace(golden.KEYRING, epoch=golden.KEYRING.epoch - 1))
    store = await stored(objects)
    await check_epoch(store, ring, {MESSAGES: stream_of(MESSAGES)})
    with pytest.raises(KeyringError, match="the archive is at"):
        await check_epoch(store, older, {MESSAGES: stream_of(MESSAGES)})


def test_states_of_two_generations_have_no_key_in_common() -> None:
    first, second = (
        states_of(decode(CLOSED[at], at), at)
        for at in (name(MESSAGES, 60), name(MESSAGES, 60, generation=2))
    )
    assert first
    assert len(first) == len(second)
    assert not set(first) & set(second)

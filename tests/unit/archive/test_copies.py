"""The stream objects of a second archive: copied, founded, and what is refused as a target."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_stream.archive.copies import REASON, check_target, copied_streams, found_copies
from audit_stream.errors import ConfigError
from audit_stream.evidence.layout import stream_name
from audit_stream.evidence.signing import LineSigner
from audit_stream.evidence.stream_object import StreamObject, decode_stream
from audit_stream.stores.memory import MemoryWormStore
from tests.support import golden
from tests.support.resealed import MESSAGES, SIGNER, second_generation, stream_of, verified

FIRST = stream_of(MESSAGES)


def second() -> StreamObject:
    name = stream_name(MESSAGES, 2)
    return decode_stream(second_generation(MESSAGES)[name], name, golden.trusted())


async def holding(*streams: StreamObject, signer: LineSigner = SIGNER) -> MemoryWormStore:
    store = MemoryWormStore()
    for stream in streams:
        name = stream_name(stream.topic, stream.generation)
        await store.put_if_absent(name, stream.encode(signer), {})
    return store


async def test_a_copy_has_the_stream_id_and_its_own_genesis() -> None:
    store = MemoryWormStore()
    copies = copied_streams([FIRST], [17])
    stream = await found_copies(store, SIGNER, golden.trusted(), copies)
    assert (stream.stream, stream.genesis, stream.reason) == (FIRST.stream, [17], REASON)
    # Founded by then: what stands there counts, whatever is asked for now.
    again = await found_copies(store, SIGNER, golden.trusted(), copied_streams([FIRST], [99]))
    assert again == stream
    assert await check_target(store, golden.trusted(), {MESSAGES: [FIRST]}) == {MESSAGES: stream}


async def test_an_older_generation_stands_without_segments_and_verifies() -> None:
    streams = [FIRST, second()]
    store = MemoryWormStore()
    stream = await found_copies(store, SIGNER, golden.trusted(), copied_streams(streams, [60]))
    assert (stream.generation, stream.stream) == (2, second().stream)
    objects = {name: await store.get(name) or b"" for name in await store.names("")}
    assert len(objects) == 2
    assert verified(objects).problems == []
    assert await check_target(store, golden.trusted(), {MESSAGES: streams}) == {MESSAGES: stream}


async def test_an_empty_store_is_a_target() -> None:
    assert await check_target(MemoryWormStore(), golden.trusted(), {MESSAGES: [FIRST]}) == {}


async def test_what_is_not_a_backfill_of_these_streams_is_refused() -> None:
    other = replace(FIRST, stream="7" * 32, reason=REASON)
    elsewhere = replace(FIRST, topic="another", reason=REASON)
    stranger = LineSigner(b"s" * 32)
    full = MemoryWormStore()
    await full.put_if_absent("notes/a.txt", b"x", {})
    for store, says in (
        (await holding(FIRST), "was not begun by a backfill"),
        (await holding(other), "another stream"),
        (await holding(elsewhere), "another stream"),
        (await holding(replace(FIRST, reason=REASON), signer=stranger), "not the signature"),
        (full, "is not empty"),
    ):
        with pytest.raises(ConfigError, match=says):
            await check_target(store, golden.trusted(), {MESSAGES: [FIRST]})

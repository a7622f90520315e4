"""Stream objects in a store: a topic's generations, and founding one."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from audit_stream.archive.chain import Chain, Free
from audit_stream.errors import StoreError
from audit_stream.evidence import layout
from audit_stream.evidence.ending import Ending
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.evidence.stream_object import StreamObject, decode_stream
from audit_stream.ports import WormStore
from audit_stream.seal.builder import Link

FIRST_SEEN = "first seen"


async def generations(store: WormStore, keys: TrustedKeys, topic: str) -> list[StreamObject]:
    """Every generation of a topic, the oldest first."""
    names = await store.names(layout.stream_folder(topic))
    return [await read_stream(store, keys, name) for name in names]


async def newest_stream(store: WormStore, keys: TrustedKeys, topic: str) -> StreamObject | None:
    """The stream object of the topic's highest generation, or None."""
    names = await store.names(layout.stream_folder(topic))
    return await read_stream(store, keys, names[-1]) if names else None


async def read_stream(store: WormStore, keys: TrustedKeys, name: str) -> StreamObject:
    """One stream object by name; `FormatError` unless a trusted key signed it."""
    data = await store.get(name)
    if data is None:
        raise StoreError(f"{name} is listed and cannot be read")
    return decode_stream(data, name, keys)


def new_stream_id() -> str:
    """A random id: keys of a stream's records depend on it."""
    return secrets.token_hex(16)


async def found_stream(
    store: WormStore, signer: LineSigner, keys: TrustedKeys, *, archive: str, topic: str,
    genesis: Sequence[int], topic_id: str | None, generation: int = 1, reason: str = FIRST_SEEN,
    ended: Sequence[Link] | None = None, stream: str | None = None,
) -> StreamObject:  # fmt: skip
    """Found a topic's generation, or read what another one founded first.

    Put if absent and read back, so that every worker seals under the same stream id. `ended`: where
    the chains of the generation before end, by partition. `stream`: its id, a new one if None.
    """
    founded = StreamObject(
        archive=archive, generation=generation, genesis=list(genesis), partitions=len(genesis),
        reason=reason, stream=stream or new_stream_id(), topic=topic, topic_id=topic_id,
        ended=None if ended is None else [
            {"leaf": link.leaf, "next": link.next, "partition": partition}
            for partition, link in enumerate(ended)
        ],
    )  # fmt: skip
    name = layout.stream_name(topic, generation)
    await store.put_if_absent(name, founded.encode(signer), {})
    return await read_stream(store, keys, name)


async def end_chain(store: WormStore, signer: LineSigner, chain: Chain, ended_at: str) -> Link:
    """Close a partition for good, and where its chain ends; a closed one is left as it is.

    The end takes the name of the next segment, put if absent: a worker that has not heard either
    has its segment stored before it, or never.
    """
    while True:
        last, at = await chain.tip()
        link, stream = chain.behind(last), chain.stream
        if not isinstance(at, Free):
            return link
        ending = Ending(
            archive=stream.archive, base=link.next, ended_at=ended_at, generation=stream.generation,
            last=None if last is None else last.name.base, partition=chain.partition,
            prev=link.leaf, seq=link.seq, stream=stream.stream, topic=stream.topic, void=at.void,
        )  # fmt: skip
        await store.put_if_absent(str(at.name), ending.encode(signer), {})

"""Stream objects in a store: the newest generation of a topic, and founding the first."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from audit_stream.errors import StoreError
from audit_stream.evidence import layout
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.evidence.stream_object import StreamObject, decode_stream
from audit_stream.ports import WormStore


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


async def found_stream(
    store: WormStore,
    signer: LineSigner,
    keys: TrustedKeys,
    *,
    archive: str,
    topic: str,
    genesis: Sequence[int],
    topic_id: str | None,
) -> StreamObject:
    """Found generation 1 of a topic, or read what another worker founded first.

    Put if absent and read back, so that every worker seals under the same stream id.
    """
    stream = StreamObject(
        archive=archive, ended=None, generation=1, genesis=list(genesis), partitions=len(genesis),
        reason="first seen", stream=secrets.token_hex(16), topic=topic, topic_id=topic_id,
    )  # fmt: skip
    name = layout.stream_name(topic, 1)
    await store.put_if_absent(name, stream.encode(signer), {})
    return await read_stream(store, keys, name)

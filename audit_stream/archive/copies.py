"""Founding a second archive of the same topics: its stream objects copy the stream ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from audit_stream.archive.streams import read_stream
from audit_stream.errors import ConfigError, FormatError
from audit_stream.evidence import layout
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.ports import WormStore

#: Why a copied stream begins where it does.
REASON = "backfilled from the topic's history"


def copied_streams(
    streams: Sequence[StreamObject], genesis: Sequence[int]
) -> list[StreamObject]:  # fmt: skip
    """Stream objects of a second archive: one topic's generations, the oldest first.

    The newest begins at `genesis`. The older ones stay empty, for their topic is gone, and so are
    their chains' ends in `ended`: no leaf, and the first offset there would be.
    """
    copies: list[StreamObject] = []
    for stream in streams:
        ended = None
        if copies:
            ended = [
                {"leaf": None, "next": first, "partition": partition}
                for partition, first in enumerate(copies[-1].genesis)
            ]
        copies.append(replace(stream, ended=ended, reason=REASON))
    copies[-1] = replace(copies[-1], genesis=list(genesis))
    return copies


async def check_target(
    store: WormStore, keys: TrustedKeys, live: Mapping[str, Sequence[StreamObject]]
) -> dict[str, StreamObject]:
    """The newest stream objects that a backfill founded there before, by topic.

    `ConfigError` for anything else than an empty archive or a backfill of these very streams.
    """
    known = {(s.topic, s.generation): s.stream for streams in live.values() for s in streams}
    found: dict[str, StreamObject] = {}
    names = await store.names("streams/")
    if not names and await store.names("", limit=1):
        raise _refusal("it is not empty and holds no stream")
    for name in names:
        try:
            stream = await read_stream(store, keys, name)
        except FormatError as error:
            raise _refusal(error.message) from error
        if known.get((stream.topic, stream.generation)) != stream.stream:
            raise _refusal(f"it holds another stream of {stream.topic}")
        if stream.reason != REASON:
            raise _refusal(f"its stream of {stream.topic} was not begun by a backfill")
        found[stream.topic] = stream
    newest = {topic: streams[-1].generation for topic, streams in live.items()}
    return {topic: s for topic, s in found.items() if s.generation == newest[topic]}


def _refusal(why: str) -> ConfigError:
    return ConfigError(
        f"this archive cannot be backfilled into: {why}", hint="name a new, empty one with --into"
    )


async def found_copies(
    store: WormStore, signer: LineSigner, keys: TrustedKeys, copies: Sequence[StreamObject]
) -> StreamObject:
    """Put the stream objects of one topic if absent; the newest as it then stands there."""
    for stream in copies:
        name = layout.stream_name(stream.topic, stream.generation)
        await store.put_if_absent(name, stream.encode(signer), {})
    newest = copies[-1]
    return await read_stream(store, keys, layout.stream_name(newest.topic, newest.generation))

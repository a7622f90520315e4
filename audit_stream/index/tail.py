"""Tailing the archive into the index: every stream there is, each partition's chain in order.

A segment is taken if a trusted key signed it, it continues the chain, and it holds what its header
says. One that does not fit is the fork alarm, and its partition is not followed any further. All
rows of a segment are one write, so whatever ends the process, the next one goes on behind it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field, replace

from audit_stream.archive.ahead import ahead
from audit_stream.archive.chain import Chain, Found, check_whole
from audit_stream.archive.streams import read_stream
from audit_stream.archive.tags import Tags, read_tags
from audit_stream.errors import AuditError, ForkAlarm, FormatError, UnknownVersion
from audit_stream.evidence import layout
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.rows import Indexed, SegmentRow
from audit_stream.index.segment_rows import segment_rows
from audit_stream.ports import Alerts, SubjectStore, WormStore
from audit_stream.privacy.keyring import Keyring
from audit_stream.seal.builder import Link

log = logging.getLogger(__name__)
_STREAMS = "streams/"
_AHEAD = 2  # segments of some megabytes
#: Told after each segment: how far its partition is.
Told = Callable[[Indexed], None]


@dataclass(slots=True)
class Taken:
    """What one pass over the archive brought."""

    segments: int = 0
    records: int = 0
    untagged: int = 0  # segments without a readable subject object
    stopped: list[str] = field(default_factory=list)  # topic/generation/partition, or stream object
    unknown: list[str] = field(default_factory=list)  # those of them that a newer release wrote


@dataclass(frozen=True, slots=True)
class Archive:
    """What the index is made from: the stores, and the keys that read them."""

    store: WormStore
    subjects: SubjectStore | None  # None: there are none, or not here
    keys: TrustedKeys
    keyring: Keyring

    async def tags(self, name: SegmentName, leaf: bytes, count: int) -> Tags | None:
        """The tags of a segment's records, None when its subject object is away or damaged."""
        try:
            return await read_tags(self.subjects, self.keyring.index_key, name, leaf, count)
        except FormatError as error:
            log.warning("a segment's subject object is no use: %s", error.message)
            return None


class Tail:
    """Follows an archive; `catch_up` may be called as often as one likes, one at a time."""

    def __init__(self, archive: Archive, index: ArchiveIndex, alarms: Alerts) -> None:
        self._archive, self._index, self._alarms = archive, index, alarms
        self._chains: dict[bytes, Chain] = {}
        self._indexed = index.places()
        self._streams: set[str] = set()
        self._stopped: dict[str, AuditError] = {}
        self.taken = 0  # segments so far: a place is where it was as long as this is the same

    def use_keys(self, keyring: Keyring) -> None:
        """From now on that keyring, of the same archive, and not the one before."""
        self._archive = replace(self._archive, keyring=keyring)

    @property
    def places(self) -> Collection[Indexed]:
        """Every partition that was met, and how far it is indexed: those without segments too."""
        return self._indexed.values()

    async def catch_up(self, *, limit: int | None = None, told: Told | None = None) -> Taken:
        """Index what is stored by now, at most `limit` segments a partition.

        `StoreError` when a store cannot be read; what was indexed before it is kept.
        """
        taken = Taken()
        await self._open_new()
        for place, chain in self._chains.items():
            if str(self._indexed[place]) not in self._stopped:
                await self._follow(place, chain, limit, told or _nobody, taken)
        taken.stopped = list(self._stopped)
        taken.unknown = [
            what for what, error in self._stopped.items() if isinstance(error, UnknownVersion)
        ]
        return taken

    @property
    def streams(self) -> list[StreamObject]:
        """Of every generation that was met, the oldest of a topic first."""
        chains = list(self._chains.values())  # asked for by other threads, too
        found = {chain.stream.stream: chain.stream for chain in chains}
        return sorted(found.values(), key=lambda each: (each.topic, each.generation))

    @property
    def stopped(self) -> list[str]:
        """What is followed no further: ``topic/generation/partition``, or a stream object."""
        return list(self._stopped)

    async def ends(self) -> list[tuple[Indexed, int]]:
        """How far each partition is, and where its chain ends now."""
        await self._open_new()
        lasts = [(place, await chain.last()) for place, chain in self._chains.items()]
        return [
            (self._indexed[place], last.link.next) for place, last in lasts if last is not None
        ]  # fmt: skip

    async def _open_new(self) -> None:
        for name in await self._archive.store.names(_STREAMS):
            if name not in self._streams:
                await self._open(name)
        for place, indexed in self._indexed.items():
            if place not in self._chains:
                error = FormatError("the stream that its index was made from is not stored")
                self._stop(str(indexed), f"{indexed.topic}/{indexed.partition}", error)

    async def _open(self, name: str) -> None:
        try:
            stream = await read_stream(self._archive.store, self._archive.keys, name)
            if name != layout.stream_name(stream.topic, stream.generation):
                raise FormatError(f"{name} says it is {stream.topic}/{stream.generation}")
        except FormatError as error:
            self._stop(name, name, error)
            return
        self._streams.add(name)
        for partition in range(stream.partitions):
            chain = Chain(self._archive.store, self._archive.keys, stream, partition)
            begin = Indexed.begin(stream, partition, chain.genesis)
            self._chains[begin.place] = chain
            self._indexed.setdefault(begin.place, begin)

    async def _follow(
        self, place: bytes, chain: Chain, limit: int | None, told: Told, taken: Taken
    ) -> None:
        try:
            link, left = self._indexed[place].link, limit
            async with ahead(self._segments(chain, link), _AHEAD) as segments:
                async for found, tags in segments:
                    await self._take(place, found, tags, taken)
                    told(self._indexed[place])
                    left = None if left is None else left - 1
                    if left == 0:
                        return
            await chain.check_no_hole(self._indexed[place].link)
        except (ForkAlarm, FormatError) as error:
            indexed = self._indexed[place]
            self._stop(str(indexed), f"{indexed.topic}/{indexed.partition}", error)

    async def _segments(self, chain: Chain, link: Link) -> AsyncIterator[tuple[Found, Tags | None]]:
        async for found in chain.follow(link):
            segment, tags = found.segment, None
            if not found.disposed:
                tags = await self._archive.tags(found.name, segment.leaf, segment.header.count)
            yield found, tags

    async def _take(
        self, place: bytes, found: Found, tags: Tags | None, taken: Taken
    ) -> None:  # fmt: skip
        indexed, row = self._indexed[place], SegmentRow.of(place, found, tags)
        after = replace(indexed, link=found.link, records=indexed.records + row.count)
        await asyncio.to_thread(self._index_segment, found, row, tags, after)
        self._indexed[place] = after
        self.taken += 1
        taken.segments += 1
        taken.records += row.count
        taken.untagged += tags is None and not found.disposed

    def _index_segment(
        self, found: Found, row: SegmentRow, tags: Tags | None, after: Indexed
    ) -> None:
        check_whole(found, self._archive.keyring.archive)
        rows = segment_rows(found, row, tags, self._index.ids, self._index.get)
        self._index.write([*rows, (after.key, after.encode())])  # the position comes last

    def _stop(self, what: str, place: str, error: AuditError) -> None:
        if what not in self._stopped:
            self._stopped[what] = error
            kind = "unknown-version" if isinstance(error, UnknownVersion) else "fork"
            self._alarms.raise_alarm(f"{kind}:{place}", f"left out of the index: {error}")


def _nobody(_: Indexed) -> None:
    """Tell nobody."""

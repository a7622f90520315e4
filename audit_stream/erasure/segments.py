"""The stored segment at a subject object's place, checked before anything in it is believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import replace

from audit_stream.archive.ahead import ahead
from audit_stream.archive.chain import Chain, Ended, Found, Free, check_whole
from audit_stream.archive.streams import generations
from audit_stream.errors import Tampered
from audit_stream.evidence import layout
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.ports import WormStore

_HINT = "keep what is there, run: audit-stream verify (docs/runbooks/fork.md)"
#: The folder, with its slash, of every segment.
SEGMENTS = "segments/"
_PAGE = 100_000  # names listed at once, some 15 MB: Azure begins each listing at its prefix
_AHEAD = 2  # segments of some megabytes


class Segments:
    """Reads segments of an archive; what it returns a trusted key signed, and it is whole."""

    def __init__(self, store: WormStore, keys: TrustedKeys, archive: str) -> None:
        self._store, self._keys, self._archive = store, keys, archive
        self._streams: dict[tuple[str, int], StreamObject] = {}

    async def at(self, place: SegmentName) -> Found | None:
        """The segment there, None where none was ever stored, or it was disposed of.

        `Tampered` when one was and is gone or no segment any more, `ForkAlarm` when it is not what
        its header says, `FormatError` when a stream object is not a trusted key's.
        """
        chain = await self._chain(place)
        if chain is None:
            return None
        stands = await chain.at(place.base)
        if isinstance(stands, Free) and not await self._never_stored(chain, place, stands):
            stands = await chain.at(place.base)  # stored meanwhile?
            if isinstance(stands, Free):
                raise Tampered(
                    f"{place}: its subject object is there, and it is gone or no segment any more",
                    hint=_HINT,
                )
        return await self._whole(stands)

    async def stored_at(self, place: SegmentName) -> Found | None:
        """As `at`, where nothing says that a segment was ever stored: None of junk, too."""
        chain = await self._chain(place)
        return None if chain is None else await self._whole(await chain.at(place.base))

    async def _whole(self, stands: Found | Free | Ended) -> Found | None:
        if not isinstance(stands, Found) or stands.disposed:
            return None
        await asyncio.to_thread(check_whole, stands, self._archive)
        return stands

    async def places(self, folders: Iterable[str]) -> AsyncGenerator[SegmentName, None]:
        """Where something stands under a segment's name, each once, its `attempt` 0, in the order
        of names; `folders` have that order, too."""
        last: SegmentName | None = None
        for folder in folders:
            after = ""
            while page := await self._store.names(folder, after=after, limit=_PAGE):
                after = page[-1]
                for name in map(layout.parse_segment_name, page):
                    if name is not None and (place := replace(name, attempt=0)) != last:
                        last = place
                        yield place

    async def every(self) -> AsyncIterator[Found]:
        """Every segment of the archive, each partition's in order and without a hole."""
        for topic, places in sorted((await self._folders()).items()):
            streams = await generations(self._store, self._keys, topic)
            if missing := places - {stream.generation for stream in streams}:
                raise Tampered(_no_stream(topic, min(missing)), hint=_HINT)
            for stream in streams:
                for partition in range(stream.partitions):
                    chain = Chain(self._store, self._keys, stream, partition)
                    async with ahead(chain.follow_all(chain.genesis), _AHEAD) as found:
                        async for each in found:
                            if each.disposed:
                                continue
                            await asyncio.to_thread(check_whole, each, self._archive)
                            yield each

    async def _folders(self) -> dict[str, set[int]]:
        """By topic, the generations that have segments: a listing for each."""
        found: dict[str, set[int]] = {}
        after = ""
        while names := await self._store.names(SEGMENTS, after=after, limit=1):
            after, place = names[0], layout.parse_segment_name(names[0])
            if place is not None:  # anything else is verify's to name
                found.setdefault(place.topic, set()).add(place.generation)
                after = f"{SEGMENTS}{place.topic}/{place.generation:05d}/~"  # behind all of it
        return found

    async def _chain(self, place: SegmentName) -> Chain | None:
        """None where nothing was ever stored: there is neither stream object nor segment."""
        topic, generation = place.topic, place.generation
        stream = self._streams.get((topic, generation))
        if stream is None:
            found = await generations(self._store, self._keys, topic)
            self._streams |= {(topic, each.generation): each for each in found}
            stream = self._streams.get((topic, generation))
        if stream is not None:
            return Chain(self._store, self._keys, stream, place.partition)
        folder = layout.segment_folder(topic, generation, place.partition)
        if await self._store.names(folder, limit=1):
            raise Tampered(_no_stream(topic, generation), hint=_HINT)
        return None

    async def _never_stored(self, chain: Chain, place: SegmentName, free: Free) -> bool:
        """Whether a worker that died or lost left the subject object: then the segment before
        covers this base, or ends there and nothing stands behind it."""
        before = await chain.newest_base(below=place.base)
        end = chain.genesis.next
        if before is not None:
            stands = await chain.at(before)
            if isinstance(stands, Ended):
                return True
            if isinstance(stands, Free):
                return False
            end = stands.segment.header.next
        if end != place.base or free.void:
            return end > place.base
        folder = layout.segment_folder(place.topic, place.generation, place.partition)
        return not await self._store.names(folder, after=str(place), limit=1)


def _no_stream(topic: str, generation: int) -> str:
    return f"{layout.stream_name(topic, generation)} is gone, and there are segments of it"

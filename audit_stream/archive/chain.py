"""Reading one partition's chain of segments from a store: its tail, and segments in order.

Everything read is checked as far as a reader of one segment can: form, trusted signature, position.
The whole proof is `verify`'s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256

from audit_stream.errors import ForkAlarm, FormatError, UnknownVersion
from audit_stream.evidence import layout
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.segment import Segment, decode
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.ports import WormStore
from audit_stream.seal.builder import Link


@dataclass(frozen=True, slots=True)
class Found:
    """A valid segment under one base, and the junk objects met before it."""

    name: SegmentName
    segment: Segment
    void: tuple[dict[str, str], ...]

    @property
    def link(self) -> Link:
        """Where the chain ends with this segment."""
        header = self.segment.header
        return Link(next=header.next, seq=header.seq + 1, leaf=self.segment.leaf.hex())


@dataclass(frozen=True, slots=True)
class Free:
    """No valid segment stands at this base: the name to try next, and the junk before it."""

    name: SegmentName
    void: tuple[dict[str, str], ...]


class Chain:
    """The segments of one stream and partition in a store."""

    def __init__(
        self, store: WormStore, keys: TrustedKeys, stream: StreamObject, partition: int
    ) -> None:
        self._store = store
        self._keys = keys
        self.stream = stream
        self.partition = partition
        self._folder = layout.segment_folder(stream.topic, stream.generation, partition)

    @property
    def genesis(self) -> Link:
        """Where the chain begins."""
        return Link(next=self.stream.genesis[self.partition], seq=0, leaf=None)

    async def at(self, base: int) -> Found | Free:
        """What stands at `base`, passing over objects that are no segment of a trusted key."""
        void: list[dict[str, str]] = []
        while True:
            name = SegmentName(
                self.stream.topic, self.stream.generation, self.partition, base, len(void)
            )
            data = await self._store.get(str(name))
            if data is None:
                return Free(name, tuple(void))
            segment = self._judge(str(name), data, base)
            if segment is not None:
                return Found(name, segment, tuple(void))
            void.append({"name": str(name), "sha256": sha256(data).hexdigest()})

    def _judge(self, name: str, data: bytes, base: int) -> Segment | None:
        try:
            segment = decode(data, name)
        except UnknownVersion:
            raise  # a newer release wrote it: it is no junk, and this release must not go on
        except FormatError:
            return None
        if not self._keys.verifies(segment.header.kid, segment.header_line, segment.signature):
            return None
        header = segment.header
        place = (header.topic, header.generation, header.partition, header.base, header.stream)
        mine = (self.stream.topic, self.stream.generation, self.partition, base, self.stream.stream)
        if place != mine:
            raise ForkAlarm(
                f"{name} is signed by a trusted key and says it belongs elsewhere",
                hint="stop the fleet and read docs/runbooks/fork.md",
            )
        return segment

    async def follow(self, link: Link) -> AsyncIterator[Found]:
        """The stored segments that continue `link`, in order; `ForkAlarm` when one does not fit."""
        while isinstance(found := await self.at(link.next), Found):
            check_continues(found.segment, link, str(found.name))
            yield found
            link = found.link

    async def follow_all(self, link: Link) -> AsyncIterator[Found]:
        """As `follow`; `FormatError` when it breaks off before the last segment there is."""
        while True:
            async for found in self.follow(link):
                link = found.link
                yield found
            last = await self.last()
            if last is None or last.segment.header.next <= link.next:
                return
            if isinstance(await self.at(link.next), Free):  # else it was stored meanwhile
                raise FormatError(
                    f"{self._folder}: no segment stands at offset {link.next}, and there are later "
                    "ones",
                    hint="run: audit-stream verify",
                )

    async def last(self) -> Found | None:
        """The last segment, found by its name; None before the first."""
        newest = await self._newest_base()
        if newest is None:
            return None
        at = await self.at(newest)
        return at if isinstance(at, Found) else await self._walk()

    async def _walk(self) -> Found | None:
        """The long way, when only junk stands at the highest name."""
        last = None
        async for found in self.follow(self.genesis):
            last = found
        return last

    async def _newest_base(self) -> int | None:
        """The highest base by descending digits: 200 cheap listings at worst, never all names."""
        prefix = ""
        while len(prefix) < layout.BASE_DIGITS:
            for digit in "9876543210":
                if await self._store.names(f"{self._folder}{prefix}{digit}", limit=1):
                    prefix += digit
                    break
            else:
                return None
        return int(prefix)


def check_continues(segment: Segment, link: Link, name: str) -> None:
    """`ForkAlarm` unless the segment continues the chain at `link`."""
    header = segment.header
    if (header.base, header.seq, header.prev) != (link.next, link.seq, link.leaf):
        raise ForkAlarm(
            f"{name} does not continue the chain it stands in",
            hint="stop the fleet and read docs/runbooks/fork.md",
        )

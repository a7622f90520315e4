"""Reading one partition's chain of segments from a store: its tail, and segments in order.

Everything read is checked as far as a reader of one segment can: form, trusted signature, position.
The whole proof is `verify`'s.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256

from audit_stream.archive.ahead import Expected
from audit_stream.archive.disposed import DisposedSegments
from audit_stream.archive.newest import newest_number
from audit_stream.errors import ForkAlarm, FormatError, Superseded, TopicError
from audit_stream.evidence import layout
from audit_stream.evidence.ending import End, Ending, signed_link
from audit_stream.evidence.formats import number_of
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.segment import Header, Segment
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.ports import WormStore
from audit_stream.seal.builder import Link

Get = Callable[[str], Awaitable[bytes | None]]
_AHEAD, _LISTED = 4, 64  # objects fetched ahead; names asked for at once
_HINT = "read docs/runbooks/fork.md; audit-stream verify says more"


def new_generation(topic: str) -> str:
    """What to do about a topic that is not what its newest generation was founded on."""
    return (
        f"find out why, then run: audit-stream topics new-generation {topic} "
        "(docs/runbooks/raw-topic.md)"
    )


async def has_next(store: WormStore, stream: StreamObject) -> bool:
    """Whether the topic's next generation was founded."""
    return await store.get(layout.stream_name(stream.topic, stream.generation + 1)) is not None


@dataclass(frozen=True, slots=True)
class Found:
    """A valid segment under one base, and the junk objects met before it; of one that was disposed
    of, without its records."""

    name: SegmentName
    segment: Segment
    void: tuple[dict[str, str], ...]
    disposed: bool = False  # only its header is left: a certificate covers it

    @property
    def link(self) -> Link:
        """Where the chain ends with this segment."""
        header = self.segment.header
        return Link(
            next=header.next, seq=header.seq + 1, leaf=self.segment.leaf.hex(),
            format=number_of(header.v),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Free:
    """No valid segment stands at this base: the name to try next, and the junk before it."""

    name: SegmentName
    void: tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """An operator ended the generation here: no segment will ever stand at this base."""

    name: SegmentName
    ending: Ending


class Chain:
    """The segments of one stream and partition in a store."""

    def __init__(
        self, store: WormStore, keys: TrustedKeys, stream: StreamObject, partition: int, *,
        whole: bool = True,
    ) -> None:  # fmt: skip
        """`whole`: records have to be what headers say. Not for who compares them one by one."""
        self._store, self._whole = store, whole
        self._keys = keys
        self.stream = stream
        self.partition = partition
        place = (stream.topic, stream.generation, partition)
        self._folder = layout.segment_folder(*place)
        self._disposed_folder = layout.disposed_folder(*place)
        self._disposed = DisposedSegments(store, keys, stream.archive)

    @property
    def name(self) -> str:
        """``topic/partition``, for messages."""
        return f"{self.stream.topic}/{self.partition}"

    @property
    def genesis(self) -> Link:
        """Where the chain begins."""
        return Link(next=self.stream.genesis[self.partition], seq=0, leaf=None)

    async def at(self, base: int, get: Get | None = None) -> Found | Free | Ended:
        """What stands at `base`, passing over objects that are no segment of a trusted key; `get`
        instead of the store's, if given. `ForkAlarm` for a segment of another place, or with other
        records than its header says."""
        get = get or self._store.get
        void: list[dict[str, str]] = []
        while True:
            name = SegmentName(
                self.stream.topic, self.stream.generation, self.partition, base, len(void)
            )
            data = await get(str(name))
            if data is None:
                header = await self._disposed.at(name)
                if header is None:
                    return Free(name, tuple(void))
                self._check_place(header.header, str(name), base)
                return Found(name, header, tuple(void), disposed=True)
            stands = self._judge(str(name), data, base)
            if isinstance(stands, Segment):
                if self._whole:
                    check_body(stands, str(name))
                return Found(name, stands, tuple(void))
            if stands is not None:
                return Ended(name, stands.ending)
            void.append({"name": str(name), "sha256": sha256(data).hexdigest()})

    def _judge(self, name: str, data: bytes, base: int) -> Segment | End | None:
        found = signed_link(data, name, self._keys)
        if found is None:
            return None
        self._check_place(found.ending if isinstance(found, End) else found.header, name, base)
        return found

    def _check_place(self, said: Header | Ending, name: str, base: int) -> None:
        place = (said.topic, said.generation, said.partition, said.base, said.stream)
        mine = (self.stream.topic, self.stream.generation, self.partition, base, self.stream.stream)
        if place != mine:
            raise ForkAlarm(
                f"{name} is signed by a trusted key and says it belongs elsewhere",
                hint="stop the fleet and read docs/runbooks/fork.md",
            )

    async def follow(self, link: Link) -> AsyncGenerator[Found, None]:
        """The stored segments that continue `link`, in order; `ForkAlarm` when one does not fit."""
        expected, several = Expected(self._store.get, _AHEAD), False
        try:
            while isinstance(found := await self.at(link.next, expected.get), Found):
                check_continues(found.segment, link, str(found.name))
                if several and not expected.left:
                    expected.expect(await self._behind(str(found.name)))
                yield found
                link, several = found.link, True
        finally:
            expected.drop()

    async def _behind(self, name: str) -> list[str]:
        """The names that come next, if there are any."""
        return await self._store.names(self._folder, after=name, limit=_LISTED)

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

    async def check_no_hole(self, link: Link) -> None:
        """`ForkAlarm` when the chain breaks off at `link` and segments stand behind that place."""
        stream = self.stream
        # Names of the junk before a segment sort before its first name: a dot and a digit.
        first = SegmentName(stream.topic, stream.generation, self.partition, link.next)
        later = await self._store.names(self._folder, after=str(first), limit=1)
        if later and not isinstance(await self.at(link.next), Found):  # else stored meanwhile
            raise ForkAlarm(f"no segment stands at {first}, and {later[0]} does", hint=_HINT)

    async def last(self) -> Found | None:
        """The last segment, found by its name; None before the first."""
        newest = await self.newest_base()
        if newest is None:
            return None
        at = await self.at(newest)
        if isinstance(at, Ended):
            if at.ending.last is None:
                return None
            at = await self.at(at.ending.last)
        return at if isinstance(at, Found) else await self._walk()

    async def newest_base(self, *, below: int | None = None) -> int | None:
        """The highest base, of those under `below`, at which something stands or has stood."""
        found = [
            await newest_number(self._store, folder, layout.BASE_DIGITS, below=below)
            for folder in (self._folder, self._disposed_folder)
            if folder == self._folder or await self._store.names(folder, limit=1)
        ]
        return max((base for base in found if base is not None), default=None)

    async def tip(self) -> tuple[Found | None, Free | Ended]:
        """The last segment, if there is one, and what stands behind it: a free name or the end."""
        last = await self.last()
        while isinstance(at := await self.at(self.behind(last).next), Found):  # stored meanwhile
            last = at
        return last, at

    def behind(self, last: Found | None) -> Link:
        """What continues the chain behind a segment, or from genesis."""
        return self.genesis if last is None else last.link

    async def check_open(self, link: Link) -> None:
        """Refuse to go on behind the end of the generation."""
        if isinstance(await self.at(link.next), Ended):
            raise await self.why_ended()

    async def why_ended(self) -> Superseded | TopicError:
        """What to raise at an end: `Superseded` if there is a next generation to go on in."""
        stream = self.stream
        what = f"generation {stream.generation} of {stream.topic} was ended by an operator"
        if await has_next(self._store, stream):
            return Superseded(f"{what}: a worker that starts again goes on in the next one")
        return TopicError(
            f"{what}, and the next one was never begun",
            hint=f"finish it: audit-stream topics new-generation {stream.topic}",
        )

    async def _walk(self) -> Found | None:
        """The long way, when only junk stands at the highest name."""
        last = None
        async for found in self.follow(self.genesis):
            last = found
        return last


def is_whole(segment: Segment) -> bool:
    """Whether its records are those that its header, which alone is signed, says."""
    return sha256(segment.body).hexdigest() == segment.header.body


def check_body(segment: Segment, name: str) -> None:
    """`ForkAlarm` unless a segment that is signed is whole."""
    if not is_whole(segment):
        raise ForkAlarm(f"{name} does not hold the records its header says", hint=_HINT)


def check_whole(found: Found, archive: str) -> None:
    """`ForkAlarm` unless what a chain found is of this archive and names the junk before it."""
    header, name = found.segment.header, str(found.name)
    if header.archive != archive:
        raise ForkAlarm(f"{name} is of the archive {header.archive}", hint=_HINT)
    if list(found.void) != list(header.void):
        raise ForkAlarm(f"{name} does not name the junk before it", hint=_HINT)


def check_continues(segment: Segment, link: Link, name: str) -> None:
    """`ForkAlarm` unless the segment continues the chain at `link`."""
    header = segment.header
    if (header.base, header.seq, header.prev) != (link.next, link.seq, link.leaf):
        raise ForkAlarm(
            f"{name} does not continue the chain it stands in",
            hint="stop the fleet and read docs/runbooks/fork.md",
        )

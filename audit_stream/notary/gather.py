"""Gathering: what has been stored since the log last covered a partition, checked before it is
logged. What does not fit is left out, loudly, and its partition stops: the log vouches for nothing
it could not follow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from audit_stream.archive.chain import Chain, Found, check_whole
from audit_stream.archive.streams import read_stream
from audit_stream.errors import AuditError, ForkAlarm, FormatError, UnknownVersion
from audit_stream.evidence import layout
from audit_stream.evidence.batch import Batch, Leaf
from audit_stream.evidence.canonical import parse_line
from audit_stream.evidence.digest import Covered
from audit_stream.evidence.formats import format_of
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.ports import Alerts, WormStore
from audit_stream.seal.builder import Link

#: (topic, generation, partition)
Place = tuple[str, int, int]
#: (log start, end) of a broker's partition.
Ends = Mapping[tuple[str, int], tuple[int, int]]
_STREAMS = "streams/"
_MOST_JUNK = 64  # bases below a logged segment's end at which something else stands
_HINT = "read docs/runbooks/fork.md; audit-stream verify says more"


@dataclass(slots=True)
class _Logged:
    """How far the log covers a partition."""

    chain: Chain
    link: Link
    stopped: bool = False


class Gatherer:
    """Follows every partition of every stream in the store, behind what the log has."""

    def __init__(self, store: WormStore, archive: str, keys: TrustedKeys, alarms: Alerts) -> None:
        self._store, self._archive, self.keys, self.alarms = store, archive, keys, alarms
        self._places: dict[Place, _Logged] = {}
        self._streams: set[str] = set()  # names of the stream objects that are leaves

    @property
    def stopped(self) -> int:
        """Partitions that are left out."""
        return sum(logged.stopped for logged in self._places.values())

    @property
    def topics(self) -> list[str]:
        """Of every stream that is followed."""
        return sorted({topic for topic, _, _ in self._places})

    async def resume(self, coverage: Iterable[Covered]) -> None:
        """Begin where a log's last digest says it is; a partition of which the store no longer has
        that place is left out, as one that does not fit. `FormatError`."""
        for covered in coverage:
            name = layout.stream_name(covered.topic, covered.generation)
            chain = Chain(self._store, self.keys, await self._stream(name), covered.partition)
            logged = await self._resumed(chain, covered)
            self._places[covered.topic, covered.generation, covered.partition] = logged
            self._streams.add(name)

    async def _resumed(self, chain: Chain, covered: Covered) -> _Logged:
        try:
            return _Logged(chain, await _link_at(chain, covered.archived_next))
        except ForkAlarm as error:
            self._alarm(chain.name, error)
            # The digest goes on saying how far the leaves are; nothing is followed from there.
            end = Link(next=covered.archived_next, seq=0, leaf=None)
            return _Logged(chain, end, stopped=True)

    async def take(self, batch: Batch) -> None:
        """Another notary's batch won: go on behind it."""
        for leaf in batch.leaves:
            if leaf.name is None:
                continue
            if layout.parse_stream_name(leaf.name) is not None:
                self._open(leaf.name, await self._stream(leaf.name))
            elif (segment := layout.parse_segment_name(leaf.name)) is not None:
                said = parse_line(leaf.line, f"the leaf of {leaf.name}")
                format_of(said, f"the leaf of {leaf.name}")
                logged = self._places[segment.topic, segment.generation, segment.partition]
                logged.link = Link(next=said["next"], seq=said["seq"] + 1, leaf=leaf.hash.hex())

    async def gather(self, limit: int, only: Collection[Place] | None = None) -> list[Leaf]:
        """At most so many leaves, streams before their segments; nothing is taken over yet:
        `take` the batch they came to stand in. `only` these partitions are looked at, as long as
        all of them are known."""
        leaves: list[Leaf] = []
        if only is None or not self._places.keys() >= set(only):
            only = self._places.keys()
            for name in await self._store.names(_STREAMS):
                if name not in self._streams and len(leaves) < limit:
                    leaves += await self._found(name)
        for place in sorted(only):
            logged = self._places[place]
            if len(leaves) < limit and not logged.stopped:
                leaves += await self._follow(place, logged, limit - len(leaves))
        return leaves

    async def _found(self, name: str) -> list[Leaf]:
        """A stream that was founded since."""
        try:
            stream = await self._stream(name)
        except UnknownVersion:
            raise
        except FormatError as error:
            self._alarm(name, error)
            return []
        return [Leaf(stream.line(), name)]

    async def _stream(self, name: str) -> StreamObject:
        stream = await read_stream(self._store, self.keys, name)
        if name != layout.stream_name(stream.topic, stream.generation):
            raise FormatError(f"{name} says it is {stream.topic}/{stream.generation}")
        return stream

    def _open(self, name: str, stream: StreamObject) -> None:
        self._streams.add(name)
        for partition in range(stream.partitions):
            chain = Chain(self._store, self.keys, stream, partition)
            place = (stream.topic, stream.generation, partition)
            self._places.setdefault(place, _Logged(chain, chain.genesis))

    async def _follow(self, place: Place, logged: _Logged, limit: int) -> list[Leaf]:
        leaves: list[Leaf] = []
        link = logged.link
        try:
            async with aclosing(logged.chain.follow(link)) as stored:
                async for found in stored:
                    check_whole(found, self._archive)
                    leaves.append(Leaf(found.segment.header_line, str(found.name)))
                    link = found.link
                    if len(leaves) == limit:
                        break
                else:
                    await logged.chain.check_no_hole(link)
        except UnknownVersion:
            raise
        except (ForkAlarm, FormatError) as error:
            logged.stopped = True
            self._alarm(f"{place[0]}/{place[2]}", error)
        return leaves

    def _alarm(self, place: str, error: AuditError) -> None:
        self.alarms.raise_alarm(f"fork:{place}", f"left out of the archive log: {error}")

    def coverage(self, leaves: Iterable[Leaf], ends: Ends | None) -> tuple[Covered, ...]:
        """How far each partition is covered once `leaves` are in the log, and the broker's ends
        (None: it is away; it only knows the newest generation's)."""
        reached = {place: logged.link.next for place, logged in self._places.items()}
        for leaf in leaves:
            said = parse_line(leaf.line, "a leaf")
            topic, generation = said["topic"], said["generation"]
            if "genesis" in said:
                for partition, base in enumerate(said["genesis"]):
                    reached.setdefault((topic, generation, partition), base)
            else:
                reached[topic, generation, said["partition"]] = said["next"]
        newest: dict[str, int] = {}
        for topic, generation, _ in reached:
            newest[topic] = max(generation, newest.get(topic, 0))
        return tuple(
            _covered(place, following, ends if newest[place[0]] == place[1] else None)
            for place, following in sorted(reached.items())
        )


def _covered(place: Place, following: int, ends: Ends | None) -> Covered:
    topic, generation, partition = place
    start, end = (ends or {}).get((topic, partition), (None, None))
    return Covered(
        topic=topic, generation=generation, partition=partition, archived_next=following,
        log_start=start, end=end,
    )  # fmt: skip


async def _link_at(chain: Chain, following: int) -> Link:
    """The link of the segment that ends before `following`. `ForkAlarm` when there is none.

    Whoever may put objects can have put some that are no segment of this chain under the offsets it
    covers: they hide nothing.
    """
    if following == chain.genesis.next:
        return chain.genesis
    wrong: ForkAlarm | FormatError | None = None
    base, looked_at = await chain.newest_base(below=following), 0
    while base is not None and looked_at < _MOST_JUNK:
        try:
            found = await chain.at(base)
            if isinstance(found, Found):
                if found.link.next == following:
                    return found.link
                break  # what stands below it ends before it
        except (ForkAlarm, FormatError) as error:
            wrong = wrong if isinstance(wrong, UnknownVersion) else error
        base, looked_at = await chain.newest_base(below=base), looked_at + 1
    if isinstance(wrong, UnknownVersion):  # it may be what a newer notary has logged
        raise wrong
    raise ForkAlarm(
        f"the archive log covers {chain.name} up to {following}, and no segment ends there",
        hint=_HINT,
    ) from wrong

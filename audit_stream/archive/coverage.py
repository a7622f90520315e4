"""Coverage: what the archive's ledgers say of each partition, against the broker's ends.

Of a topic's older generations there is no broker to ask; the next one's `ended` says their ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import pairwise

from audit_stream.archive.ahead import in_flight
from audit_stream.archive.disposed import DisposedSegments
from audit_stream.archive.quarantined import QuarantinedOffsets
from audit_stream.archive.streams import generations
from audit_stream.evidence import layout, ledger
from audit_stream.evidence.ending import End, signed_link
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.segment import Segment
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.ports import WormStore

_IN_FLIGHT = 16  # segments: of a far store the answers are waited for together


@dataclass(slots=True)
class PartitionCoverage:
    """One partition of one topic, in one generation."""

    topic: str
    partition: int
    log_start: int
    end: int
    next: int = 0
    generation: int = 0  # 0: no worker has founded one
    counts: Counter[str] = field(default_factory=Counter)
    unexplained: int = 0

    @property
    def to_come(self) -> int:
        """Offsets the broker has and the archive does not cover yet."""
        return max(0, self.end - self.next)


class Coverage:
    """Reads the archive incrementally: a second `update` reads only what is new."""

    def __init__(self, store: WormStore, keys: TrustedKeys) -> None:
        self._store, self._keys = store, keys
        self._disposed: DisposedSegments | None = None  # of the archive, once a stream names it
        self._founded: dict[str, Sequence[StreamObject]] = {}
        self._placed: dict[str, PartitionCoverage] = {}  # folder of segments -> whose
        self._seen: dict[str, str] = {}  # folder -> last name read
        self.partitions: dict[tuple[str, int], PartitionCoverage] = {}  # newest generation
        self.older: list[PartitionCoverage] = []  # `end` is what the next one's `ended` says
        self._quarantined: dict[str, QuarantinedOffsets] = {}  # by topic

    async def update(self, ends: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        """Take the broker's (log start, end) by (topic, partition), and the new segments."""
        for (topic, partition), (start, end) in sorted(ends.items()):
            found = self.partitions.get((topic, partition))
            if found is None:
                found = PartitionCoverage(topic, partition, start, end, next=start)
                self.partitions[topic, partition] = found
            if not self._founded.get(topic):
                self._founded[topic] = await generations(self._store, self._keys, topic)
                self._place_older(self._founded[topic])
                self._meet(self._founded[topic])
            if self._founded[topic] and not found.generation:
                self._place(found, self._founded[topic])
            found.log_start, found.end = start, end
        for folder in self._placed:
            await self._read(folder)

    def _meet(self, streams: Sequence[StreamObject]) -> None:
        if streams and self._disposed is None:
            self._disposed = DisposedSegments(self._store, self._keys, streams[0].archive)

    def _place(self, found: PartitionCoverage, streams: Sequence[StreamObject]) -> None:
        """Begin at the newest generation's genesis; a partition it does not have has nothing."""
        stream, partition = streams[-1], found.partition
        if partition < stream.partitions:
            found.generation, found.next = stream.generation, stream.genesis[partition]
            found.unexplained = gap_between(streams[-2:], partition)
            self._placed[_folder(found)] = found

    def _place_older(self, streams: Sequence[StreamObject]) -> None:
        for index, (stream, following) in enumerate(pairwise(streams)):
            ends = {item["partition"]: item["next"] for item in following.ended or ()}
            for partition, genesis in enumerate(stream.genesis):
                found = PartitionCoverage(
                    stream.topic, partition, genesis, ends.get(partition, genesis), next=genesis,
                    generation=stream.generation,
                    unexplained=gap_between(streams[max(0, index - 1) : index + 1], partition),
                )  # fmt: skip
                self.older.append(found)
                self._placed[_folder(found)] = found

    async def _read(self, folder: str) -> None:
        """Junk is passed over, as writers do: what it hides is unexplained. The name after a junk
        one sorts before it, so only what counts moves the mark."""
        after = self._seen.get(folder, "")
        names = {*await self._store.names(folder, after=after)}
        if self._disposed is not None:
            names.update(await self._disposed.names(folder, after=after))
        places = filter(None, map(layout.parse_segment_name, sorted(names)))
        async with aclosing(in_flight(places, self._fetch, _IN_FLIGHT)) as fetched:
            async for place, data in fetched:
                link = await self._link(place, data)
                if link is not None:
                    self._seen[folder] = str(place)
                if isinstance(link, Segment):
                    self._take(self._placed[folder], link)

    async def _fetch(self, place: SegmentName) -> tuple[SegmentName, bytes | None]:
        return place, await self._store.get(str(place))

    async def _link(self, place: SegmentName, data: bytes | None) -> Segment | End | None:
        """None for junk; of a segment that was disposed of its header, which counts as it did."""
        if data is None:
            return None if self._disposed is None else await self._disposed.at(place)
        return signed_link(data, str(place), self._keys)

    def _take(self, found: PartitionCoverage, segment: Segment) -> None:
        header = segment.header
        found.unexplained += max(0, header.base - found.next)
        found.counts.update(ledger.totals(header.ledger, header.next - header.base))
        found.next = header.next
        self._quarantined.setdefault(found.topic, QuarantinedOffsets(found.topic)).take(segment)

    @property
    def streams(self) -> dict[str, StreamObject]:
        """The newest generation of each topic that has one."""
        return {topic: found[-1] for topic, found in self._founded.items() if found}

    @property
    def to_come(self) -> int:
        """Offsets still to come, of all partitions."""
        return sum(found.to_come for found in self.partitions.values())

    @property
    def unexplained(self) -> int:
        """Offsets that some ledger should cover and none does, of all generations: must be 0."""
        missing = sum(found.unexplained + found.to_come for found in self.older)
        return missing + sum(found.unexplained for found in self.partitions.values())

    @property
    def unresolved(self) -> int:
        """Quarantined offsets of which no retry was archived, of all generations."""
        return sum(self.unresolved_by_topic.values())

    @property
    def unresolved_by_topic(self) -> dict[str, int]:
        """The same of each topic of which something is archived."""
        return {topic: found.unresolved for topic, found in self._quarantined.items()}

    def totals(self, topics: Iterable[str] | None = None) -> Counter[str]:
        """Offsets by letter in the newest generations, of some topics or all."""
        total: Counter[str] = Counter()
        for found in self.partitions.values():
            if topics is None or found.topic in topics:
                total.update(found.counts)
        return total


def _folder(found: PartitionCoverage) -> str:
    return layout.segment_folder(found.topic, found.generation, found.partition)


def gap_between(streams: Sequence[StreamObject], partition: int) -> int:
    """Offsets between two generations of one and the same topic, which neither covers; 0 of one."""
    if len(streams) < 2 or not is_one_topic(streams):
        return 0  # another topic: its offsets are others
    after = streams[-1]
    ends = (item["next"] for item in after.ended or () if item["partition"] == partition)
    return max(0, after.genesis[partition] - next(ends, after.genesis[partition]))


def is_one_topic(streams: Sequence[StreamObject]) -> bool:
    """Whether generations, one behind the other, are of one and the same topic of the broker's."""
    ids = {stream.topic_id for stream in streams}
    return len(ids) == 1 and None not in ids and "" not in ids

"""Coverage: what the archive's ledgers say of each partition, against the broker's ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from audit_stream.archive.streams import newest_stream
from audit_stream.evidence import layout, ledger
from audit_stream.evidence.segment import decode
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.ports import WormStore


@dataclass(slots=True)
class PartitionCoverage:
    """One partition of one topic, in its newest generation."""

    topic: str
    partition: int
    log_start: int
    end: int
    next: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    unexplained: int = 0
    quarantined: set[str] = field(default_factory=set)  # positions topic/partition/offset

    @property
    def to_come(self) -> int:
        """Offsets the broker has and the archive does not cover yet."""
        return max(0, self.end - self.next)


class Coverage:
    """Reads the archive incrementally: a second `update` reads only what is new."""

    def __init__(self, store: WormStore, keys: TrustedKeys) -> None:
        self._store, self._keys = store, keys
        self._founded: dict[str, StreamObject] = {}
        self._placed: set[tuple[str, int]] = set()
        self._seen: dict[str, str] = {}  # folder -> last name read
        self.partitions: dict[tuple[str, int], PartitionCoverage] = {}
        self.origins: set[str] = set()  # first positions of archived retries

    async def update(self, ends: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        """Take the broker's (log start, end) by (topic, partition), and the new segments."""
        for (topic, partition), (start, end) in sorted(ends.items()):
            found = self.partitions.get((topic, partition))
            if found is None:
                found = PartitionCoverage(topic, partition, start, end, next=start)
                self.partitions[topic, partition] = found
            if topic not in self._founded:
                await self._find_stream(topic)
            if topic in self._founded and (topic, partition) not in self._placed:
                self._placed.add((topic, partition))
                stream = self._founded[topic]
                found.next = stream.genesis[partition]
                self._seen[layout.segment_folder(topic, stream.generation, partition)] = ""
            found.log_start, found.end = start, end
        for folder in list(self._seen):
            await self._read(folder)

    async def _find_stream(self, topic: str) -> None:
        stream = await newest_stream(self._store, self._keys, topic)
        if stream is not None:
            self._founded[topic] = stream

    async def _read(self, folder: str) -> None:
        for name in await self._store.names(folder, after=self._seen[folder]):
            data = await self._store.get(name)
            place = layout.parse_segment_name(name)
            if data is None or place is None:
                continue
            self._seen[folder] = name
            self._take(self.partitions[place.topic, place.partition], data, name)

    def _take(self, found: PartitionCoverage, data: bytes, name: str) -> None:
        segment = decode(data, name)
        header = segment.header
        found.unexplained += max(0, header.base - found.next)
        runs = ledger.decode(header.ledger, header.next - header.base)
        found.counts.update(ledger.counts(runs))
        offset = header.base
        for count, letter in runs:
            if letter == ledger.QUARANTINED:
                found.quarantined.update(
                    f"{found.topic}/{found.partition}/{at}" for at in range(offset, offset + count)
                )
            offset += count
        found.next = header.next
        if b'"origin":"' in segment.body:
            pubs = (orjson.loads(line)["pub"] for line in segment.record_lines())
            self.origins.update(pub["origin"] for pub in pubs if pub["origin"])

    @property
    def to_come(self) -> int:
        """Offsets still to come, of all partitions."""
        return sum(found.to_come for found in self.partitions.values())

    @property
    def unexplained(self) -> int:
        """Offsets below a partition's `next` that no ledger covers: must be 0."""
        return sum(found.unexplained for found in self.partitions.values())

    @property
    def unresolved(self) -> int:
        """Quarantined positions of which no retry was archived."""
        return sum(len(found.quarantined - self.origins) for found in self.partitions.values())

    def totals(self, topics: Iterable[str] | None = None) -> Counter[str]:
        """Offsets by letter, of some topics or all."""
        total: Counter[str] = Counter()
        for found in self.partitions.values():
            if topics is None or found.topic in topics:
                total.update(found.counts)
        return total

"""Proving a period complete: every segment from its start on is read, and its chain followed.

Segments are taken whole: of most dispositions only the segment's first and last time is known. A
period is complete in a partition when a later record was archived behind it, or when the archive
log's digest says, at a time behind it, that the archive had reached the broker's end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from audit_stream.archive.ahead import ahead
from audit_stream.archive.chain import Chain, Ended, Found
from audit_stream.archive.coverage import gap_between
from audit_stream.archive.quarantined import QuarantinedOffsets
from audit_stream.archive.range import Range
from audit_stream.archive.streams import generations
from audit_stream.evidence import ledger
from audit_stream.evidence.completeness import Stretch
from audit_stream.evidence.segment import Segment
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.ports import WormStore

_AHEAD = 2  # segments of some megabytes
#: (generation, partition) -> (the archive's end, the broker's), as a digest behind the period says.
Reached = Mapping[tuple[int, int], tuple[int, int | None]]


class _Pub(msgspec.Struct):
    message_uuid: str


class _Line(msgspec.Struct):
    pub: _Pub


_decode = msgspec.json.Decoder(_Line).decode


@dataclass(slots=True)
class Completeness:
    """What reading gave; `messages` are the ids of records from the period's start on."""

    stretches: list[Stretch] = field(default_factory=list)
    unexplained: int = 0
    assurance: set[str] = field(default_factory=set)
    unresolved: int = 0  # quarantined offsets of the period of which no retry was archived
    listed: set[str] = field(default_factory=set)  # of a sender's list: found


class Prover:
    """Reads one topic's chains over a period. Raises `FormatError` and `ForkAlarm`."""

    def __init__(
        self, store: WormStore, keys: TrustedKeys, period: Range, reached: Reached,
        manifest: frozenset[str] = frozenset(), told: Callable[[int], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._store, self._keys, self._period = store, keys, period
        self._reached, self._manifest, self._told = reached, manifest, told
        self.found = Completeness()

    async def run(self, topic: str) -> Completeness:
        """Every generation and partition of the topic."""
        self._quarantined = QuarantinedOffsets(topic)
        streams = await generations(self._store, self._keys, topic)
        for index, stream in enumerate(streams):
            for partition in range(stream.partitions):
                stretch = await self._partition(stream, partition)
                if stretch.base == stream.genesis[partition]:  # the break lies in the period
                    pair = streams[max(0, index - 1) : index + 1]
                    self.found.unexplained += gap_between(pair, partition)
        self.found.unresolved = self._quarantined.unresolved
        return self.found

    async def _partition(self, stream: StreamObject, partition: int) -> Stretch:
        stretch = Stretch(generation=stream.generation, partition=partition)
        chain = Chain(self._store, self._keys, stream, partition)
        link = chain.genesis
        async with ahead(chain.follow_all(link), _AHEAD) as segments:
            async for found in segments:
                link = found.link
                self._take(found, stretch)
        archived, end = self._reached.get((stream.generation, partition), (0, None))
        if end is not None and archived >= end and link.next >= archived:
            stretch.complete = True
        if isinstance(await chain.at(link.next), Ended):
            stretch.complete = True
        self.found.stretches.append(stretch)
        return stretch

    def _take(self, found: Found, stretch: Stretch) -> None:
        header = found.segment.header
        if stretch.base is None and self._period.is_before(header):
            self._quarantined.take(found.segment, counts=False)
            return
        if self._period.is_behind(header):
            stretch.complete = True
        counts = not stretch.complete  # else times went back: behind is behind
        if counts:
            self._count(found, stretch)
        self._quarantined.take(found.segment, counts=counts)
        self._look_for(found.segment)
        self._told(header.count)

    def _count(self, found: Found, stretch: Stretch) -> None:
        header = found.segment.header
        stretch.counts.update(ledger.totals(header.ledger, header.next - header.base))
        if stretch.base is None:
            stretch.base, stretch.first_object = header.base, str(found.name)
            stretch.first_ts = header.first_ts
        stretch.next, stretch.last_object = header.next, str(found.name)
        if header.last_ts is not None:
            stretch.last_ts = header.last_ts
        self.found.assurance.add(header.assurance)

    def _look_for(self, segment: Segment) -> None:
        """The messages of a sender's list."""
        if self._manifest:
            messages = {_decode(line).pub.message_uuid for line in segment.record_lines()}
            self.found.listed |= messages & self._manifest

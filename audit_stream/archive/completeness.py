"""Proving a period complete: every segment from its start on is read, and its chain followed.

Segments are taken whole: of most dispositions only the segment's first and last time is known. Of
what retention deleted not even that: it came between the records before and behind it, and counts
if that can have been in the period. A period is over in a partition when a later record was
archived behind it, or when the archive log's digest says, at a time behind it, that the archive had
reached the broker's end. Of a rekeyed topic neither tells: it is over when the archive has all that
had been copied once everything there was in the raw topic, at a time behind it, was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile

import msgspec

from audit_stream.archive.ahead import ahead
from audit_stream.archive.chain import Chain, Ended, Found
from audit_stream.archive.coverage import gap_between, is_one_topic
from audit_stream.archive.quarantined import QuarantinedOffsets
from audit_stream.archive.range import Range
from audit_stream.archive.streams import generations
from audit_stream.evidence import ledger
from audit_stream.evidence.completeness import Stretch
from audit_stream.evidence.segment import Header, Segment
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


class _Reading:
    """One partition over a period: the whole segments that hold its records, or may have lost some.

    `before`, `first` and `last` are times (ms) as far as they are known: of the record before its
    first segment, and of its own first and last ones.
    """

    def __init__(self, period: Range, stream: StreamObject, partition: int, last: int | None):
        self._period, self._place = period, (stream.generation, partition)
        self.before = self.last = last
        self.first: int | None = None
        self._taken, self._waiting = _Taken(self._empty()), _Taken(self._empty())

    def _empty(self) -> Stretch:
        generation, partition = self._place
        return Stretch(generation=generation, partition=partition)

    @property
    def stretch(self) -> Stretch:
        """What was taken."""
        return self._taken.stretch

    @property
    def assurance(self) -> set[str]:
        """Of what was taken."""
        return self._taken.assurance

    def take(self, found: Found) -> bool:
        """Whether the records of the next segment count."""
        header = found.segment.header
        at_front, at_end = _lost_at_ends(header)
        if header.first_ts is not None:
            self.settle(header.first_ts)
            at_front = at_front and self._period.meets(self.last, header.first_ts)
            self.first = header.first_ts if self.first is None else self.first
        elif self._period.begins_behind(self.last):  # the record before what was lost there does
            self.stretch.complete = True
        counts = self._counts(header, at_front)
        if self._period.is_behind(header):
            self.stretch.complete = True
        if counts:
            self._taken.add(found)
        elif not self.stretch.complete and (at_end or self._waiting.stretch.offsets):
            self._waiting.add(found)  # what it lost may be of the period: the next time tells
        self.last = self.last if header.last_ts is None else header.last_ts
        return counts

    def _counts(self, header: Header, lost_in_front: bool) -> bool:
        if self.stretch.complete:
            return False  # also where times went back: behind is behind
        if self.stretch.base is None and self._period.is_before(header):
            return False
        return lost_in_front or not self._period.is_behind(header)

    def settle(self, until: int | None) -> None:
        """What waited was lost before this time; None: nothing came behind it."""
        if self._waiting.stretch.offsets:
            if self.stretch.base is None and self._period.meets(self.last, until):
                self._taken = self._waiting
            self._waiting = _Taken(self._empty())


@dataclass(slots=True)
class _Taken:
    stretch: Stretch
    assurance: set[str] = field(default_factory=set)

    def add(self, found: Found) -> None:
        stretch, header = self.stretch, found.segment.header
        stretch.counts.update(ledger.totals(header.ledger, header.next - header.base))
        if stretch.base is None:
            stretch.base, stretch.first_object = header.base, str(found.name)
            stretch.first_ts = header.first_ts
        stretch.next, stretch.last_object = header.next, str(found.name)
        if header.last_ts is not None:
            stretch.last_ts = header.last_ts
        self.assurance.add(header.assurance)


def _lost_at_ends(header: Header) -> tuple[bool, bool]:
    """Whether offsets were lost before a segment's first record, and behind its last."""
    if ledger.LOST not in header.ledger:
        return False, False
    runs = ledger.decode(header.ledger, header.next - header.base)
    return _begin_lost(runs), _begin_lost(reversed(runs))


def _begin_lost(runs: Iterable[ledger.Run]) -> bool:
    holes = takewhile(lambda run: run[1] in ledger.VOID_LETTERS, runs)
    return any(letter == ledger.LOST for _, letter in holes)


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
        known: dict[int, int | None] = {}  # partition -> of which time its newest record is
        for index, stream in enumerate(streams):
            pair = streams[max(0, index - 1) : index + 1]
            if not is_one_topic(pair):
                known = {}
            for partition in range(stream.partitions):
                reading = await self._partition(stream, partition, known.get(partition))
                at_the_break = reading.stretch.base == stream.genesis[partition]
                if at_the_break or self._period.meets_gap(reading.before, reading.first):
                    self.found.unexplained += gap_between(pair, partition)
                known[partition] = reading.last
        self.found.unresolved = self._quarantined.unresolved
        return self.found

    async def _partition(
        self, stream: StreamObject, partition: int, last: int | None
    ) -> _Reading:  # fmt: skip
        reading = _Reading(self._period, stream, partition, last)
        chain = Chain(self._store, self._keys, stream, partition)
        link = chain.genesis
        async with ahead(chain.follow_all(link), _AHEAD) as segments:
            async for found in segments:
                link = found.link
                self._take(found, reading)
        reading.settle(None)
        stretch = reading.stretch
        archived, end = self._reached.get((stream.generation, partition), (0, None))
        if end is not None and archived >= end and link.next >= archived:
            stretch.complete = True
        if isinstance(await chain.at(link.next), Ended):
            stretch.complete = True
        self.found.stretches.append(stretch)
        self.found.assurance |= reading.assurance
        return reading

    def _take(self, found: Found, reading: _Reading) -> None:
        counts = reading.take(found)
        self._quarantined.take(found.segment, counts=counts)
        if counts or reading.stretch.complete:
            self._look_for(found.segment)
            self._told(found.segment.header.count)

    def _look_for(self, segment: Segment) -> None:
        """The messages of a sender's list."""
        if self._manifest:
            messages = {_decode(line).pub.message_uuid for line in segment.record_lines()}
            self.found.listed |= messages & self._manifest

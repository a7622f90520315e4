"""Two archives of the same topics: the same record lines at the same offsets, whatever the cuts.

Read in order, partition by partition, with one segment of each in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from itertools import islice, zip_longest

from audit_stream.archive.ahead import ahead
from audit_stream.archive.chain import Chain, Found
from audit_stream.archive.streams import read_stream
from audit_stream.evidence import layout, ledger
from audit_stream.evidence.difference import FieldDifference, line_difference
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.ports import WormStore

_AHEAD = 2  # segments of some megabytes
_KEPT_DIFFERENCES = 20
#: Told after each stretch: how many offsets were compared since.
Told = Callable[[int], None]
Range = tuple[int, int]  # [from, to)
Part = tuple[list[ledger.Run], list[bytes]]  # dispositions and record lines of some offsets


@dataclass(frozen=True, slots=True, kw_only=True)
class LineDifference:
    """One offset at which the archives A and B are not the same."""

    topic: str
    generation: int
    partition: int
    offset: int
    field: str
    a: str
    b: str

    def __str__(self) -> str:
        place = f"{self.topic}/{self.generation}/{self.partition}/{self.offset}"
        return f"{place}: {self.field}: A {self.a}, B {self.b}"


@dataclass(slots=True, kw_only=True)
class PartitionComparison:
    """What two archives say of one partition of one stream."""

    topic: str
    generation: int
    partition: int
    compared: int = 0  # offsets both cover
    records: int = 0  # archived at the same offset in both
    erased: int = 0  # of them: compared without their sealed fields, being erased in one
    other_records: int = 0  # of them: different
    other_dispositions: int = 0  # offsets
    differences: list[LineDifference] = field(default_factory=list)  # the first ones
    only_a: list[Range] = field(default_factory=list)
    only_b: list[Range] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether everything both cover is the same."""
        return not self.differences

    @property
    def complete(self) -> bool:
        """Whether both cover the same offsets."""
        return not self.only_a and not self.only_b

    def note(self, offset: int, found: FieldDifference) -> None:
        """Keep a difference, if it is one of the first."""
        if len(self.differences) < _KEPT_DIFFERENCES:
            self.differences.append(
                LineDifference(
                    topic=self.topic, generation=self.generation, partition=self.partition,
                    offset=offset, field=found.field, a=found.one, b=found.other,
                )
            )  # fmt: skip


class _Side:
    """One archive's segments of a partition, the current one unpacked."""

    def __init__(self, segments: AsyncIterator[Found]) -> None:
        self._segments = segments
        self.base = self.next = 0
        self.ended = False
        self._runs: list[ledger.Run] = []
        self._lines: list[bytes] = []

    async def reach(self, offset: int) -> None:
        """Go on until the current segment ends behind `offset`."""
        while not self.ended and self.next <= offset:
            found = await anext(self._segments, None)
            if found is None:
                self.ended = True
                return
            header = found.segment.header
            self._runs = ledger.decode(header.ledger, header.next - header.base)
            self.base, self.next = header.base, header.next
            self._lines = found.segment.record_lines()

    def covers(self, offset: int) -> bool:
        """Whether the current segment does."""
        return not self.ended and self.base <= offset < self.next

    def part(self, start: int, stop: int) -> Part:
        """Dispositions and record lines of [start, stop), which the current segment covers."""
        runs = ledger.part(self._runs, start - self.base, stop - self.base)
        passed = ledger.letter_counts(ledger.part(self._runs, 0, start - self.base))
        before = passed[ledger.ARCHIVED]
        after = before + ledger.letter_counts(runs)[ledger.ARCHIVED]
        return runs, self._lines[before:after]


async def compare_partition(a: Chain | None, b: Chain | None, told: Told) -> PartitionComparison:
    """Compare one partition of a stream; an archive that does not have it is None."""
    chain = a or b
    assert chain is not None
    result = PartitionComparison(
        topic=chain.stream.topic, generation=chain.stream.generation, partition=chain.partition
    )
    async with ahead(_segments(a), _AHEAD) as ours, ahead(_segments(b), _AHEAD) as theirs:
        one, other = _Side(ours), _Side(theirs)
        at = 0
        while True:
            await one.reach(at)
            await other.reach(at)
            open_ends = [side for side in (one, other) if not side.ended]
            if not open_ends:
                return result
            if not any(side.covers(at) for side in open_ends):
                at = min(side.base for side in open_ends)
                continue
            stop = _step(result, one, other, at)
            told(stop - at)
            at = stop


async def _segments(chain: Chain | None) -> AsyncIterator[Found]:
    if chain is not None:
        async for found in chain.follow_all(chain.genesis):
            if not found.disposed:  # what is not there any more, only the other one covers
                yield found


def _step(result: PartitionComparison, one: _Side, other: _Side, at: int) -> int:
    """Take the offsets from `at` on that need no other segment; the first one behind them."""
    if one.covers(at) and other.covers(at):
        stop = min(one.next, other.next)
        _compare(result, at, one.part(at, stop), other.part(at, stop))
        return stop
    alone, second = (one, other) if one.covers(at) else (other, one)
    stop = alone.next if second.ended else min(alone.next, second.base)
    ranges = result.only_a if alone is one else result.only_b
    if ranges and ranges[-1][1] == at:
        ranges[-1] = (ranges[-1][0], stop)
    else:
        ranges.append((at, stop))
    return stop


def _compare(result: PartitionComparison, at: int, a: Part, b: Part) -> None:
    result.compared += sum(count for count, _ in a[0])
    if a == b:
        result.records += len(a[1])
        return
    ours, theirs = iter(a[1]), iter(b[1])
    for count, letter, second in ledger.in_step(a[0], b[0]):
        lines = [*islice(ours, count)] if letter == ledger.ARCHIVED else []
        others = [*islice(theirs, count)] if second == ledger.ARCHIVED else []
        if letter != second:
            result.other_dispositions += count
            told = FieldDifference("disposition", ledger.MEANING[letter], ledger.MEANING[second])
            for offset in range(at, at + min(count, _KEPT_DIFFERENCES)):
                result.note(offset, told)
        elif letter == ledger.ARCHIVED:
            result.records += count
            pairs = zip_longest(lines, others, fillvalue=b"")
            for offset, (line, again) in enumerate(pairs, at):
                _compare_lines(result, offset, line, again)
        at += count


def _compare_lines(result: PartitionComparison, offset: int, line: bytes, again: bytes) -> None:
    if line == again:
        return
    found = line_difference(line, again)
    if found is None:
        result.erased += 1
        return
    result.other_records += 1
    result.note(offset, found)


class ArchiveComparison:
    """Compares two archives, one partition after another."""

    def __init__(self, a: WormStore, b: WormStore, keys: TrustedKeys) -> None:
        self._a, self._b, self._keys = a, b, keys

    async def run(
        self, topics: Collection[str] | None, told: Told
    ) -> AsyncIterator[PartitionComparison]:
        """Every partition of every stream in either archive, or of these topics."""
        names = {*await self._a.names("streams/"), *await self._b.names("streams/")}
        for name in sorted(names):
            place = layout.parse_stream_name(name)
            if place is None or (topics is not None and place[0] not in topics):
                continue
            async for found in self._stream(name, told):
                yield found

    async def _stream(self, name: str, told: Told) -> AsyncIterator[PartitionComparison]:
        a, b = await self._read(self._a, name), await self._read(self._b, name)
        known = [stream for stream in (a, b) if stream is not None]
        if len({stream.stream for stream in known}) > 1:
            yield _other_streams(known[0])
            return
        for partition in range(max(stream.partitions for stream in known)):
            yield await compare_partition(
                self._chain(self._a, a, partition), self._chain(self._b, b, partition), told
            )

    async def _read(self, store: WormStore, name: str) -> StreamObject | None:
        if await store.get(name) is None:
            return None
        return await read_stream(store, self._keys, name)

    def _chain(self, store: WormStore, stream: StreamObject | None, partition: int) -> Chain | None:
        if stream is None or partition >= stream.partitions:
            return None
        return Chain(store, self._keys, stream, partition)


def _other_streams(stream: StreamObject) -> PartitionComparison:
    """Nothing sealed under another stream id can be the same."""
    result = PartitionComparison(topic=stream.topic, generation=stream.generation, partition=0)
    result.note(stream.genesis[0], FieldDifference("stream", "its id", "another id"))
    return result

"""Verification of an archive or a part of it, from its objects and trusted public keys alone.

    V0  every object's name is one the format knows (others are noted)
    V1-V10  each segment (`verify.segment`)
    V11-V13 each partition's chain (`verify.chain`)
    V14 each stream object is signed, names itself, and `ended` fits the generation before;
        behind a generation that was ended there is a next one, and whatever it
        sealed has an end
    V15 every status map the headers name lies under its hash
    V16-V24 the archive log (`verify.log`)
    V25 the registers (`verify.register`)
    V26 what was disposed of (`verify.disposal`)
What only a checkpoint kept elsewhere can show: whether the end of log and chains was cut off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import groupby

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence import layout, ledger
from audit_stream.evidence.ending import End, Ending
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.log_names import is_log_name
from audit_stream.evidence.register import Register, parse_entry_name
from audit_stream.evidence.segment import Header, Segment
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject, decode_stream
from audit_stream.evidence.tree import leaf_hash
from audit_stream.verify.attempts import Attempts, Found
from audit_stream.verify.chain import ChainVerifier
from audit_stream.verify.disposal import DisposedVerifier
from audit_stream.verify.findings import Findings
from audit_stream.verify.generations import Generations
from audit_stream.verify.part import Part
from audit_stream.verify.register import RegisterVerifier
from audit_stream.verify.report import Failed, Report
from audit_stream.verify.segment import check_stream, open_link, verify_segment

Read = Callable[[str], bytes | None]


class ArchiveVerifier:
    """Verifies the named objects; iterate `run` to its end and look at `report`.

    `names` are all names of the `part`; `read` gives an object's bytes, or None.
    """

    def __init__(
        self, names: Iterable[str], read: Read, keys: TrustedKeys, part: Part | None = None
    ) -> None:  # fmt: skip
        self._read, self._keys, self._part = read, keys, part or Part()
        self._findings = Findings()
        self._records = 0
        self._assurance: Counter[str] = Counter()
        self._by_partition: dict[tuple[str, int], Counter[str]] = {}
        self._segments: list[SegmentName] = []
        self._generations = Generations(self._findings)
        self._maps: set[str] = set()
        self._disposed = DisposedVerifier(read, keys, self._part.holds)
        self._gone = (0, 0)  # segments disposed of, and their records
        self._entries: list[str] = []  # names of registers' entries
        #: Leaf hash of each object that was found good: what the archive log must say of it.
        self.leaves: dict[str, bytes] = {}
        #: Names that are the archive log's.
        self.log_names: list[str] = []
        for name in names:
            self._sort_in(name)

    @property
    def size(self) -> int:
        """Segments to verify, for progress."""
        return len(self._segments)

    @property
    def report(self) -> Report:
        """What was found so far."""
        return Report(
            segments=self._assurance.total(),
            records=self._records,
            streams=len(self._generations),
            assurance=dict(self._assurance),
            by_partition=dict(self._by_partition),
            problems=list(self._findings.problems),
            unknown=list(self._findings.unknown),
            notes=list(self._findings.notes),
            disposed=self._gone,
        )

    def _sort_in(self, name: str) -> None:
        segment, stream = layout.parse_segment_name(name), layout.parse_stream_name(name)
        if segment is not None and str(segment) == name:
            self._segments.append(segment)
        elif stream is not None and layout.stream_name(*stream) == name:
            self._open_stream(name, *stream)
        elif (kept := layout.parse_disposed_name(name)) is not None:
            self._disposed.take_kept(name, kept)
        elif is_log_name(name):
            self.log_names.append(name)
        elif (entry := parse_entry_name(name)) is not None:
            self._entries.append(name)
            if entry[0] is Register.DISPOSALS:
                self._disposed.take_certificate(name)
        elif not name.startswith("maps/") and not layout.is_canary_name(name):
            self._findings.notes.append(f"V0 {name}: not an object of this format")

    def _open_stream(self, name: str, topic: str, generation: int) -> None:
        try:
            stream = decode_stream(self._read(name) or b"", name, self._keys)
            if (stream.topic, stream.generation) != (topic, generation):
                raise FormatError(f"{name} says it is {stream.topic}/{stream.generation}")
        except UnknownVersion as error:
            self._findings.wrong("V14", name, error.message.removeprefix(f"{name} "), unknown=True)
        except FormatError as error:
            self._findings.wrong("V14", name, error.message.removeprefix(f"{name} "))
        else:
            self._generations.add(stream)
            self.leaves[name] = leaf_hash(stream.line())

    def run(self) -> Iterator[int]:
        """Verify; yields the number of records of each segment."""
        if self._part.base is not None:
            self._findings.notes.append(
                "V11, V13: not judged for one segment alone: verify its partition"
            )
        segments = sorted({*self._segments, *self._disposed.gone(self._segments)})
        places = groupby(segments, key=lambda s: (s.topic, s.generation, s.partition))
        for (topic, generation, partition), names in places:
            stream = self._generations.get(topic, generation)
            if stream is None:
                yield from (0 for _ in names)
            elif partition >= stream.partitions:
                self._findings.wrong(
                    "V5", str(next(names)), "is in a partition the stream does not have"
                )
                yield from (0 for _ in names)
            else:
                yield from self._partition(stream, partition, names)
        if self._part.has_whole_topics:
            self._generations.judge(all_partitions=self._part.partition is None)
        self._check_maps()
        self._check_registers()
        self._check_disposed()

    def _check_disposed(self) -> None:
        if self._part.base is None:
            owed = self._disposed.judge(self.leaves)
            if owed:
                self._findings.notes.append(f"V26: {owed} segments are disposed of and still there")
        self._findings.problems += self._disposed.problems
        self._findings.unknown += self._disposed.unknown

    def _partition(
        self, stream: StreamObject, partition: int, names: Iterable[SegmentName]
    ) -> Iterator[int]:
        chain = ChainVerifier(stream, partition)
        # After one failure everything behind would fail too: the first is named, and behind it each
        # segment is judged by itself. So is a segment that was asked for alone.
        linked = self._part.base is None
        for _, attempts in groupby(names, key=lambda name: name.base):
            found = Attempts(self._read, self._open, self._findings).pick(attempts)
            linked = linked and found is not None
            if found is not None:
                linked = self._verify(found, stream, chain if linked else None) and linked
            yield 0 if found is None else found.records
        self._generations.end(stream, partition, (chain.next, chain.leaf) if linked else None)

    def _verify(self, found: Found, stream: StreamObject, chain: ChainVerifier | None) -> bool:
        name, link, junk, disposed = found
        try:
            if disposed and isinstance(link, Segment):
                self._verify_disposed(name, link, junk, stream, chain)
            elif isinstance(link, End):
                self._verify_end(link.ending, junk, stream, chain)
            else:
                self._verify_segment(name, link, junk, stream, chain)
        except Failed as failed:
            self._findings.fail(failed, name)
            return False
        return True

    def _verify_end(
        self, ending: Ending, junk: list[dict[str, str]], stream: StreamObject,
        chain: ChainVerifier | None,
    ) -> None:  # fmt: skip
        self._generations.close(stream, ending.partition)
        if chain is not None:
            chain.close(ending)
        ChainVerifier.void(ending, junk)
        check_stream(ending, stream)

    def _verify_disposed(
        self, name: str, segment: Segment, junk: list[dict[str, str]], stream: StreamObject,
        chain: ChainVerifier | None,
    ) -> None:  # fmt: skip
        """Its header alone: its offsets count, its records cannot be looked at."""
        if chain is not None:
            chain.link(segment)
            chain.dispose(segment.header)
        ChainVerifier.void(segment.header, junk)
        check_stream(segment.header, stream)
        self._count(segment.header)
        self._gone = (self._gone[0] + 1, self._gone[1] + segment.header.count)
        self.leaves[name] = segment.leaf

    def _verify_segment(
        self, name: str, segment: Segment, junk: list[dict[str, str]], stream: StreamObject,
        chain: ChainVerifier | None,
    ) -> None:  # fmt: skip
        if chain is not None:
            chain.link(segment)
        ChainVerifier.void(segment.header, junk)
        records = verify_segment(segment, stream)
        if chain is not None:
            chain.revisions(records)
        self._count(segment.header)
        self._records += segment.header.count
        self._assurance[segment.header.assurance] += 1
        self.leaves[name] = segment.leaf

    def _open(self, name: SegmentName, data: bytes) -> Segment | End:
        kept = None if data else self._disposed.open(name)
        return open_link(name, data, self._keys) if kept is None else kept

    def _count(self, header: Header) -> None:
        totals = ledger.totals(header.ledger, header.next - header.base)
        place = (header.topic, header.partition)
        self._by_partition.setdefault(place, Counter()).update(totals)
        self._maps.add(header.status_map)

    def _check_maps(self) -> None:
        for map_hash in sorted(self._maps):
            name = layout.map_name(map_hash)
            if map_hash == layout.STAND_IN_MAP:
                self._findings.notes.append(f"V15 {name}: a stand-in, no map was used")
                continue
            data = self._read(name)
            if data is None or sha256(data).hexdigest() != map_hash:
                self._findings.wrong("V15", name, "is missing or has another hash")

    def _check_registers(self) -> None:
        registers = RegisterVerifier(self._read, self._keys, self._generations.archives)
        registers.run(self._entries)
        self._findings.problems += registers.problems
        self._findings.unknown += registers.unknown
        self._findings.notes += registers.notes
        self.leaves |= registers.leaves

"""Verification of a whole archive, from its objects and trusted public keys alone.

    V0  every object's name is one the format knows (others are noted)
    V1-V10  each segment (`verify.segment`)
    V11-V13 each partition's chain (`verify.chain`)
    V14 each stream object is signed, names itself, and `ended` fits the generation before
    V15 every status map the headers name lies under its hash
What only a checkpoint can show: whether segments are missing at a chain's end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import groupby

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence import layout, ledger
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.segment import Segment
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject, decode_stream
from audit_stream.verify.chain import ChainVerifier
from audit_stream.verify.report import Problem, Report
from audit_stream.verify.segment import Failed, open_segment, verify_segment

Read = Callable[[str], bytes | None]
_STAND_IN_MAP = "0" * 64  # archives made before there was a map to name


class ArchiveVerifier:
    """Verifies the named objects; iterate `run` to its end and look at `report`."""

    def __init__(self, names: Iterable[str], read: Read, keys: TrustedKeys) -> None:
        self.report = Report()
        self._read, self._keys = read, keys
        self._segments: list[SegmentName] = []
        self._streams: dict[tuple[str, int], StreamObject] = {}
        self._maps: set[str] = set()
        self._ends: dict[tuple[str, int], dict[int, tuple[int, str | None]]] = {}
        for name in names:
            self._sort_in(name)

    @property
    def size(self) -> int:
        """Segments to verify, for progress."""
        return len(self._segments)

    def _sort_in(self, name: str) -> None:
        segment, stream = layout.parse_segment_name(name), layout.parse_stream_name(name)
        if segment is not None and str(segment) == name:
            self._segments.append(segment)
        elif stream is not None:
            self._open_stream(name, *stream)
        elif not name.startswith(("maps/", "log/", "tile/", "anchor/")):
            self.report.notes.append(f"V0 {name}: not an object of this format")

    def _open_stream(self, name: str, topic: str, generation: int) -> None:
        try:
            stream = decode_stream(self._read(name) or b"", name, self._keys)
            if (stream.topic, stream.generation) != (topic, generation):
                raise FormatError(f"{name} says it is {stream.topic}/{stream.generation}")
        except UnknownVersion as error:
            self.report.unknown.append(Problem("V14", name, error.message))
        except FormatError as error:
            self._wrong("V14", name, error.message)
        else:
            self._streams[topic, generation] = stream
            self.report.streams += 1

    def _wrong(self, step: str, name: str, what: str) -> None:
        self.report.problems.append(Problem(step, name, what))

    def run(self) -> Iterator[int]:
        """Verify; yields the number of records of each segment."""
        places = groupby(sorted(self._segments), key=lambda s: (s.topic, s.generation, s.partition))
        for (topic, generation, partition), names in places:
            stream = self._streams.get((topic, generation))
            if stream is None:
                self._wrong("V14", layout.stream_name(topic, generation), "is missing or invalid")
                yield from (0 for _ in names)
                continue
            if partition >= stream.partitions:
                self._wrong("V5", str(next(names)), "is in a partition the stream does not have")
                continue
            yield from self._partition(stream, partition, names)
        self._check_generations()
        self._check_maps()

    def _partition(
        self, stream: StreamObject, partition: int, names: Iterable[SegmentName]
    ) -> Iterator[int]:
        chain = ChainVerifier(stream, partition)
        broken = False
        for base, attempts in groupby(names, key=lambda name: name.base):
            found = self._pick(base, attempts)
            if found is None:
                yield 0
                broken = True
                continue
            name, segment, junk = found
            try:
                if not broken:  # after one failure everything behind would fail: name the first
                    chain.link(segment)
                    chain.void(segment, junk)
                records = verify_segment(segment, stream)
                if not broken:
                    chain.revisions(records)
            except Failed as failed:
                self._record(failed, str(name))
                broken = True
            self._count(segment)
            yield segment.header.count
        self._ends.setdefault((stream.topic, stream.generation), {})[partition] = (
            chain.next, chain.leaf,
        )  # fmt: skip

    def _pick(
        self, base: int, attempts: Iterable[SegmentName]
    ) -> tuple[SegmentName, Segment, list[dict[str, str]]] | None:
        """The one valid segment under a base; what is no segment of ours before it is junk."""
        junk: list[dict[str, str]] = []
        valid: list[tuple[SegmentName, Segment, list[dict[str, str]]]] = []
        first: tuple[Failed, str] | None = None
        for name in attempts:
            data = self._read(str(name)) or b""
            try:
                valid.append((name, open_segment(name, data, self._keys), list(junk)))
            except Failed as failed:
                first = first or (failed, str(name))
                junk.append({"name": str(name), "sha256": sha256(data).hexdigest()})
        if len(valid) > 1:
            self._wrong("V11", str(valid[1][0]), "is a second signed segment at its base: a fork")
        if not valid and first is not None:
            self._record(*first)
        return valid[0] if valid else None

    def _record(self, failed: Failed, name: str) -> None:
        problem = Problem(failed.step, name, failed.what)
        (self.report.unknown if failed.unknown else self.report.problems).append(problem)

    def _count(self, segment: Segment) -> None:
        header, report = segment.header, self.report
        totals = ledger.counts(ledger.decode(header.ledger, header.next - header.base))
        report.segments += 1
        report.records += header.count
        report.offsets += header.next - header.base
        report.dispositions.update(totals)
        report.by_topic.setdefault(header.topic, Counter()).update(totals)
        report.assurance[header.assurance] += 1
        self._maps.add(header.status_map)

    def _check_generations(self) -> None:
        for (topic, generation), stream in self._streams.items():
            name = layout.stream_name(topic, generation)
            if stream.ended is None:
                if generation != 1:
                    self._wrong("V14", name, "ended is null in a later generation")
                continue
            ends = self._ends.get((topic, generation - 1), {})
            said = {item["partition"]: (item["next"], item["leaf"]) for item in stream.ended}
            if any(said.get(p) != end for p, end in ends.items() if end[1] is not None):
                self._wrong("V14", name, "ended does not fit the generation before")

    def _check_maps(self) -> None:
        for map_hash in sorted(self._maps):
            name = layout.map_name(map_hash)
            if map_hash == _STAND_IN_MAP:
                self.report.notes.append(f"V15 {name}: a stand-in, no map was used")
                continue
            data = self._read(name)
            if data is None or sha256(data).hexdigest() != map_hash:
                self._wrong("V15", name, "is missing or has another hash")

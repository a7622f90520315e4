"""Verification that the generations of a topic follow each other (V14): pure.

Each generation but the first says where the one before ended; behind one that was ended there is a
next one, and whatever it sealed has an end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from audit_stream.evidence import layout
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.verify.findings import Findings

_STEP = "V14"
#: Where a partition's chain ends: next offset and leaf hash; None where it is broken.
ChainEnd = tuple[int, str | None] | None


class Generations:
    """The stream objects found good, and where their chains end; `judge` once all are known."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._streams: dict[tuple[str, int], StreamObject] = {}
        self._ends: dict[tuple[str, int], dict[int, ChainEnd]] = {}
        self._closed: set[tuple[str, int, int]] = set()  # topic, generation, partition

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def archives(self) -> set[str]:
        """The ids of the archives they say they are of: one, if nothing is wrong."""
        return {stream.archive for stream in self._streams.values()}

    def add(self, stream: StreamObject) -> None:
        """A stream object, signed and under its name."""
        self._streams[stream.topic, stream.generation] = stream

    def get(self, topic: str, generation: int) -> StreamObject | None:
        """The stream object of a generation; that it is missing is noted."""
        stream = self._streams.get((topic, generation))
        if stream is None:
            self._findings.miss(_STEP, layout.stream_name(topic, generation))
        return stream

    def close(self, stream: StreamObject, partition: int) -> None:
        """A partition that was ended."""
        self._closed.add((stream.topic, stream.generation, partition))

    def end(self, stream: StreamObject, partition: int, end: ChainEnd) -> None:
        """Where a partition's chain ends."""
        self._ends.setdefault((stream.topic, stream.generation), {})[partition] = end

    def judge(self, *, all_partitions: bool) -> None:
        """All generations of each topic; `all_partitions`: every chain was looked at."""
        for topic, generation in sorted({place[:2] for place in self._closed}):
            self.get(topic, generation + 1)
        for stream in [stream for _, stream in sorted(self._streams.items())]:
            self._judge(stream, all_partitions)

    def _judge(self, stream: StreamObject, all_partitions: bool) -> None:
        topic, generation = stream.topic, stream.generation
        if (stream.ended is None) != (generation == 1):
            self._wrong(stream, "line 1 ended is null exactly in generation 1")
            return
        if stream.ended is None or (before := self.get(topic, generation - 1)) is None:
            return
        if not self._ends_fit(stream.ended, before, all_partitions):
            self._wrong(stream, "line 1 ended does not fit the generation before")
        elif (partition := self._not_closed(before)) is not None:
            what = f"is there, and nothing ends partition {partition} of the generation before"
            self._wrong(stream, what)

    def _wrong(self, stream: StreamObject, what: str) -> None:
        self._findings.wrong(_STEP, layout.stream_name(stream.topic, stream.generation), what)

    def _not_closed(self, stream: StreamObject) -> int | None:
        """A partition with segments and without an end, among those judged."""
        place = (stream.topic, stream.generation)
        chains = sorted(self._ends.get(place, {}).items())
        sealed = (partition for partition, end in chains if end is None or end[1] is not None)
        return next((each for each in sealed if (*place, each) not in self._closed), None)

    def _ends_fit(
        self, ended: Iterable[dict[str, Any]], before: StreamObject, all_partitions: bool
    ) -> bool:
        """Whether `ended` names the end of each chain before; one without segments may be left out.

        Chains that are broken, or not of this part, cannot tell.
        """
        claims = _claims(ended, before.partitions)
        if claims is None:
            return False
        ends = self._ends.get((before.topic, before.generation), {})
        for partition in range(before.partitions) if all_partitions else ends:
            end = ends.get(partition, (before.genesis[partition], None))
            if end is None or (end[1] is None and partition not in claims):
                continue
            if claims.get(partition) != end:
                return False
        return True


def _claims(ended: Iterable[dict[str, Any]], partitions: int) -> dict[int, ChainEnd] | None:
    """What a stream object says of each partition's end; None when it names one that is not, or
    one twice."""
    said = [(item["partition"], (item["next"], item["leaf"])) for item in ended]
    if any(type(p) is not int or not 0 <= p < partitions for p, _ in said):
        return None
    claims = dict(said)
    return claims if len(claims) == len(said) else None

"""The same events over other numbers of partitions and workers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from audit_stream.kafka.embedded import EmbeddedKafka
from audit_stream.stores.open import open_store
from bench.aftermath import Ready, ready
from bench.contenders import AuditStream, Run
from bench.generate import Workload
from bench.load import Load, encode
from bench.measure import Result, measure
from bench.servers import Double
from bench.stores import ToServer

_WARMUP_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Shape:
    """How many of each; `counted`: into the double, which counts requests, and not a folder."""

    partitions: int
    members: int
    counted: bool


SHAPES = (
    Shape(4, 1, counted=True), Shape(64, 1, counted=True), Shape(4, 1, counted=False),
    Shape(4, 2, counted=False), Shape(4, 4, counted=False),
)  # fmt: skip


@dataclass(slots=True)
class Scaled:
    """Every round of one shape."""

    shape: Shape
    results: list[Result] = field(default_factory=list)
    starts: list[Ready] = field(default_factory=list)
    requests: list[Counter[str]] = field(default_factory=list)  # by method
    segments: list[int] = field(default_factory=list)


async def scale(
    kafka: EmbeddedKafka, folder: Path, double: Double, events: int, rounds: int
) -> list[Scaled]:
    """Every shape in turn, round after round; each run is checked record by record."""
    found = [Scaled(shape) for shape in SHAPES]
    workload = Workload(events=events, warmup=round(events * _WARMUP_SHARE))
    loads = {count: encode(workload, count) for count in {s.partitions for s in SHAPES}}
    for number in range(rounds):
        for index, one in enumerate(found):
            run = Run(
                name=f"scale-{number}-{index}", bootstrap=kafka.bootstrap, tools=folder,
                folder=folder / f"scale-{number}-{index}", partitions=one.shape.partitions,
                members=one.shape.members,
            )  # fmt: skip
            await _measured(one, run, loads[one.shape.partitions], double)
    return found


async def _measured(one: Scaled, run: Run, load: Load, double: Double) -> None:
    ours = ToServer(double) if one.shape.counted else AuditStream()

    async def afterwards(run: Run) -> None:
        if one.shape.counted:
            one.requests.append(double.requests())
            one.segments.append(await _segments(double, run))
        one.starts.append(await ready(ours, run))
        double.requests()  # those of the start are not the run's

    one.results.append(await measure(ours, load, run, afterwards=afterwards))


async def _segments(double: Double, run: Run) -> int:
    store = open_store(double.url(run.name), double.access, read_only=True)
    try:
        return len(await store.names("segments/"))
    finally:
        await store.close()

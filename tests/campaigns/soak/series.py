"""The JSON lines of a run, as series over time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.campaigns.soak.plan import Plan
from tests.campaigns.soak.trend import Point

Sample = Mapping[str, Any]
_DELAY = "audit_stream_archive_delay_seconds"
_CACHED = "audit_stream_block_cache_bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a run left."""

    start: Mapping[str, Any]
    samples: Sequence[Sample]
    missed: int  # samples for which a process did not answer in time
    end: Mapping[str, Any] | None  # None when the run did not come to its end

    @property
    def plan(self) -> Plan:
        """What was asked for."""
        return Plan(**self.start["plan"])

    @property
    def processes(self) -> list[str]:
        """Names, in the order in which they were started."""
        return list(self.samples[0]["processes"])

    @property
    def ours(self) -> list[str]:
        """Without the broker, which is nobody's to judge here."""
        return list(self.samples[0]["metrics"])

    def after(self, seconds: float) -> Recorded:
        """Without the samples of the first so many seconds."""
        later = [each for each in self.samples if each["at"] >= seconds]
        return Recorded(start=self.start, samples=later, missed=self.missed, end=self.end)

    def used(self, process: str, what: str) -> list[Point]:
        """Of one process: memory, descriptors, threads, processor time."""
        return self._series(lambda sample: sample["processes"][process][what])

    def own(self, process: str) -> list[Point]:
        """Its memory (PSS) but for what its block cache holds, which fills and is bounded."""
        held = dict(self.cached(process))
        return [(at, used - held.get(at, 0.0)) for at, used in self.used(process, "pss")]

    def cached(self, process: str) -> list[Point]:
        """What its block cache holds; nothing is known of the broker's."""
        return self.said(process, _CACHED) if process in self.ours else []

    def said(self, process: str, metric: str) -> list[Point]:
        """A metric of one process, 0 before it has one."""
        return self._series(lambda sample: sample["metrics"][process].get(metric, 0.0))

    def summed(self, metric: str) -> list[Point]:
        """A metric of all of them together."""
        return self._series(
            lambda sample: sum(each.get(metric, 0.0) for each in sample["metrics"].values())
        )

    def disk(self, what: str) -> list[Point]:
        """Bytes of a folder, or topic."""
        return self._series(lambda sample: sample["disk"][what])

    def archive_delay(self) -> list[Point]:
        """Mean seconds from the broker's timestamp to stored, between one sample and the next."""
        pairs = zip(self.summed(f"{_DELAY}_sum"), self.summed(f"{_DELAY}_count"), strict=True)
        return [
            (at, (total - total_before) / (count - count_before))
            for ((_, total_before), (_, count_before)), ((at, total), (_, count)) in pairwise(pairs)
            if count > count_before
        ]

    def _series(self, value: Callable[[Sample], float]) -> list[Point]:
        return [(sample["at"], value(sample)) for sample in self.samples]


def recorded(path: Path) -> Recorded:
    """What stands in a file of samples."""
    return of_lines(path.read_text().splitlines())


def of_lines(lines: Iterable[str]) -> Recorded:
    """The same of lines. `ValueError` where no run began, or none was sampled."""
    documents = [json.loads(line) for line in lines]
    kinds: dict[str, list[Any]] = {"start": [], "sample": [], "missed": [], "end": []}
    for each in documents:
        kinds[each["kind"]].append(each)
    if len(kinds["start"]) != 1 or not kinds["sample"]:
        raise ValueError("these are not the samples of one run")
    return Recorded(
        start=kinds["start"][0], samples=kinds["sample"], missed=len(kinds["missed"]),
        end=kinds["end"][0] if kinds["end"] else None,
    )  # fmt: skip

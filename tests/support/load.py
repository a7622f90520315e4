"""A steady load on a fleet, and how long its archive stood still meanwhile, seen from outside."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

from aiokafka import AIOKafkaProducer

from audit_stream.evidence.layout import parse_segment_name
from tests.support.events import Events
from tests.support.fleet import Fleet

_TURN_SECONDS = 0.1


@contextlib.asynccontextmanager
async def load(fleet: Fleet, events: Events, per_second: int) -> AsyncIterator[None]:
    """Send so many records a second for as long as the block takes."""
    producer = AIOKafkaProducer(bootstrap_servers=fleet.settings.bootstrap_servers, acks="all")
    await producer.start()
    done = asyncio.Event()

    async def send() -> None:
        while not done.is_set():
            lines = events.lines(int(per_second * _TURN_SECONDS))
            sent = [await producer.send(fleet.topic, value, key) for key, value in lines]
            await asyncio.gather(*sent)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), _TURN_SECONDS)

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        done.set()
        await task  # between two turns: the oracle has seen what was sent
        await producer.stop()


class Progress:
    """When each partition's segments of a file archive came to stand."""

    def __init__(self, fleet: Fleet) -> None:
        self._folder, self._partitions = fleet.settings.archive_path, fleet.partitions

    def stalls(self, begin: float, end: float | None = None) -> float:
        """The longest time between two Unix times, s, in which a partition had no segment."""
        end = time.time() if end is None else end
        stood: dict[int, list[float]] = defaultdict(list)
        for path in self._folder.glob("segments/**/*.gz"):
            stood[_partition(path, self._folder)].append(path.stat().st_mtime)
        longest = 0.0
        for partition in range(self._partitions):
            times = sorted([begin, *(t for t in stood[partition] if begin < t < end), end])
            longest = max(longest, *(b - a for a, b in pairwise(times)))
        return longest

    async def everywhere(self, since: float) -> bool:
        """Whether every partition has a segment that is younger."""
        found = await asyncio.to_thread(self._younger, since)
        return found == set(range(self._partitions))

    def _younger(self, since: float) -> set[int]:
        paths = self._folder.glob("segments/**/*.gz")
        return {_partition(p, self._folder) for p in paths if p.stat().st_mtime > since}


def _partition(path: Path, folder: Path) -> int:
    name = parse_segment_name(str(path.relative_to(folder)))
    assert name is not None
    return name.partition

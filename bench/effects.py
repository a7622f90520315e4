"""What a contender has really done, read where it would be read in earnest.

A peer's effect is the records in its output topic; ours is the segments in the archive. Both are
counted while the run goes on and checked record by record afterwards, so that nobody can look
fast by skipping work.
"""

from __future__ import annotations

import gzip
import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from audit_stream.evidence.segment import Segment, decode
from audit_stream.ports import WormStore
from bench.generate import PARTITIONS
from bench.processes import RunFailed
from bench.rule import canonical

_READ_LIMIT_MS = 30_000


class Effect(ABC):
    """Rises that stand durably at the far end."""

    poll_seconds = 0.02  # between two looks while the clock runs

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(self, *exc: object) -> None: ...

    @abstractmethod
    async def count(self) -> int:
        """How many rises are there by now. Cheap: it is asked many times a second."""

    @abstractmethod
    async def complete(self) -> bool:
        """Whether whatever else must be there beside the last rise is there, too."""

    @abstractmethod
    def lines(self) -> AsyncIterator[bytes]:
        """Every record line, in any order."""

    async def check(self, rises: frozenset[str]) -> None:
        """Raise RunFailed unless the record lines are those of `rises`, each once, hashes right."""
        seen: Counter[str] = Counter()
        async for line in self.lines():
            record = orjson.loads(line)
            pub = record["pub"]
            if record["integrity_hash"] != f"sha256:{hashlib.sha256(canonical(pub)).hexdigest()}":
                raise RunFailed(f"the hash of event {pub['audit_id']} is wrong")
            seen[pub["audit_id"]] += 1
        missing, extra = len(rises - seen.keys()), len(seen.keys() - rises)
        repeated = seen.total() - len(seen)
        if missing or extra or repeated:
            raise RunFailed(f"{missing} rises missing, {extra} too many, {repeated} repeated")


class TopicEffect(Effect):
    """Records in an output topic that nobody else writes to."""

    def __init__(self, bootstrap: str, topic: str, partitions: int = PARTITIONS) -> None:
        self._parts = [TopicPartition(topic, partition) for partition in range(partitions)]
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
        )

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._consumer.stop()

    async def count(self) -> int:
        """The end offsets, summed."""
        ends: Mapping[TopicPartition, int] = await self._consumer.end_offsets(self._parts)
        return sum(ends.values())

    async def complete(self) -> bool:
        """The records are all there is."""
        return True

    async def lines(self) -> AsyncIterator[bytes]:
        """The values, read from the beginning."""
        remaining = await self.count()
        self._consumer.assign(self._parts)  # not before: it would fetch while the clock runs
        while remaining:
            fetched = await self._consumer.getmany(timeout_ms=_READ_LIMIT_MS)
            if not fetched:
                raise RunFailed(f"{remaining} records of the output topic cannot be read")
            for records in fetched.values():
                remaining -= len(records)
                for record in records:
                    yield record.value


class ArchiveEffect(Effect):
    """Record lines in the segments of a ``file`` archive; complete once every offset is covered."""

    def __init__(
        self, bootstrap: str, topic: str, archive: Path, partitions: int = PARTITIONS
    ) -> None:
        self._folder = archive / "segments" / topic
        self._topic = TopicEffect(bootstrap, topic, partitions)
        self._headers: dict[Path, dict[str, Any]] = {}

    async def __aenter__(self) -> Self:
        await self._topic.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._topic.__aexit__(*exc)

    async def count(self) -> int:
        """The record counts in the headers, summed; each header is read once."""
        self._look()
        return sum(header["count"] for header in self._headers.values())

    async def complete(self) -> bool:
        """Whether the segments cover as many offsets as the raw topic has."""
        covered = sum(header["next"] - header["base"] for header in self._headers.values())
        return bool(covered == await self._topic.count())

    async def lines(self) -> AsyncIterator[bytes]:
        """The lines after header and signature of every segment."""
        self._look()
        for path in self._headers:
            with gzip.open(path) as segment:
                for line in segment.read().splitlines()[2:]:
                    yield line

    def _look(self) -> None:
        for path in self._segments():
            if path not in self._headers:
                with gzip.open(path) as segment:
                    self._headers[path] = orjson.loads(segment.readline())

    def _segments(self) -> Iterable[Path]:
        return self._folder.glob("*/*/*.ndjson.gz")


class StoreEffect(Effect):
    """Record lines in the segments of an archive in any store, read as any reader would."""

    poll_seconds = 0.2  # a look is a request: more of them would be load

    def __init__(
        self, bootstrap: str, topic: str, store: WormStore, partitions: int = PARTITIONS
    ) -> None:
        self._prefix = f"segments/{topic}/"
        self._topic = TopicEffect(bootstrap, topic, partitions)
        self._store = store
        self._segments: dict[str, Segment] = {}

    async def __aenter__(self) -> Self:
        await self._topic.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._topic.__aexit__(*exc)
        await self._store.close()

    async def count(self) -> int:
        """The record counts in the headers, summed; each segment is read once."""
        for name in await self._store.names(self._prefix):
            if name not in self._segments:
                self._segments[name] = decode(await self._store.get(name) or b"", name)
        return sum(segment.header.count for segment in self._segments.values())

    async def complete(self) -> bool:
        """Whether the segments cover as many offsets as the raw topic has."""
        headers = [segment.header for segment in self._segments.values()]
        covered = sum(header.next - header.base for header in headers)
        return bool(covered == await self._topic.count())

    async def lines(self) -> AsyncIterator[bytes]:
        """The record lines of every segment."""
        for segment in self._segments.values():
            for line in segment.record_lines():
                yield line

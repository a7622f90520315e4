"""A lane: one stream and partition on this worker, from judged records to stored segments.

Deciding and building run ahead of storage by the overlay; storing is strictly one segment after
another. A lane is dropped, with all that is not stored, on every rebalance, and never reused.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Any

from audit_stream.evidence import ledger
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.precedence.matrix import STATUSES, State
from audit_stream.privacy.sealer import RecordSealer
from audit_stream.privacy.subjects import KeyDeriver
from audit_stream.seal.builder import Link, SegmentBuilder
from audit_stream.seal.judge import INTERNAL, Chunk, Judge, Lookup
from audit_stream.stream.context import Context

#: Archived records a chunk: some 30 ms of judging, after which storing gets its turn.
_CHUNK_RECORDS = 2_000


class Lane:
    """Judges, builds and queues the segments of one stream and partition."""

    def __init__(
        self,
        context: Context,
        stream: StreamObject,
        partition: int,
        link: Link,
        lookup: Lookup,
        keys: KeyDeriver,
    ) -> None:
        self.context = context
        self.stream = stream
        self.partition = partition
        self.link = link  # end of the stored chain
        self.live = True
        self.last_ts: int | None = None  # Kafka time (ms) of the last stored record
        self.overlay: dict[bytes, State] = {}  # decided and not yet stored
        self.builder = self._new_builder(link.next)
        self.full: deque[SegmentBuilder] = deque()
        self.copies: deque[tuple[int, Any]] = deque()  # (offset, future) of quarantine copies
        self.work = asyncio.Event()
        self._lookup = lookup
        self._judge = self._new_judge(keys)
        self._window = deque[tuple[int, int]]()  # (records, quarantined) of recent chunks
        self._run = 0  # quarantined in a row

    @property
    def name(self) -> str:
        """``topic/partition``, for logs and alarms."""
        return f"{self.stream.topic}/{self.partition}"

    def _new_builder(self, base: int) -> SegmentBuilder:
        return SegmentBuilder(base, self.context.origin.raw_key)

    def _new_judge(self, keys: KeyDeriver) -> Judge:
        context, stream = self.context, self.stream
        sealer = RecordSealer(
            keys, topic=stream.topic, generation=stream.generation, partition=self.partition,
            regulatory_tag=context.regulatory_tags[stream.topic], placeholders=context.placeholders,
        )  # fmt: skip
        return Judge(stream.stream, context.status_map, sealer, self._lookup, self.overlay)

    # -- ingest: decide

    def decide(self, records: list[Any], base: int, end: int, lost_before: int) -> Iterator[Chunk]:
        """Judge a fetched batch; each chunk is in the overlay at once and goes to the sink.

        Nothing more comes once the lane is dropped: the caller may wait between two chunks.
        """
        limit = min(self.context.limits.records, _CHUNK_RECORDS)
        start = 0
        while self.live and (start < len(records) or base < end):
            rest = records[start:] if start else records
            chunk, used = self._judge.judge(rest, base, end, limit, lost_before)
            self.overlay.update(chunk.states)
            start, base = start + used, chunk.next
            yield chunk

    def braked(self, chunk: Chunk) -> bool:
        """Whether this chunk trips the quarantine brake (a bad deploy must not empty the topic)."""
        brake = self.context.brake
        for count, letter in chunk.runs:
            if letter == ledger.QUARANTINED:
                self._run += count
                if self._run >= brake.run:
                    return True
            elif letter != ledger.ABSENT:
                self._run = 0
        self._window.append((chunk.next - chunk.base, len(chunk.quarantined)))
        seen = sum(records for records, _ in self._window)
        while len(self._window) > 1 and seen - self._window[0][0] >= brake.window:
            seen -= self._window.popleft()[0]
        return seen >= brake.window and sum(q for _, q in self._window) > brake.share * seen

    def count(self, chunk: Chunk) -> None:
        """Metrics of a stored-to-be chunk: per chunk, never per record."""
        metrics, topic = self.context.metrics, self.stream.topic
        counted = ledger.letter_counts(chunk.runs)
        for letter, n in counted.items():
            metrics.records_total.labels(topic, ledger.MEANING[letter]).inc(n)
        for (held, came), n in chunk.regressed.items():
            metrics.regressions_total.labels(topic, STATUSES[held - 1], STATUSES[came - 1]).inc(n)
        for reason, _ in chunk.quarantined:  # rare by the brake
            metrics.quarantined_total.labels(topic, reason).inc()
            if reason == INTERNAL:
                self.context.alerts.raise_alarm(
                    f"internal:{topic}", "a record hit a bug and was quarantined as internal"
                )
        if lost := counted[ledger.LOST]:
            metrics.lost_offsets_total.labels(topic).inc(lost)
            self.context.alerts.raise_alarm(
                f"lost:{self.name}",
                f"retention overtook {self.name}: {lost} offsets from {chunk.base} on are lost",
            )

    # -- sink: build

    def take(self, chunk: Chunk) -> None:
        """Add a decided chunk to the builder; full builders queue up for storing."""
        limits, now = self.context.limits, self.context.monotonic_ms()
        if not self.builder.fits(chunk, limits):
            self.cut()
        self.builder.add(chunk, now)
        if self.builder.due(now, limits):
            self.cut()

    def tick(self) -> None:
        """Seal what has become old enough."""
        if self.builder.due(self.context.monotonic_ms(), self.context.limits):
            self.cut()

    def cut(self) -> None:
        """Queue the builder for storing and begin the next segment."""
        if self.builder.empty:
            return
        self.full.append(self.builder)
        self.builder = self._new_builder(self.builder.next)
        self.work.set()

    def stored(self, states: dict[bytes, State]) -> None:
        """Forget what the table holds now; a later rise of the same message stays."""
        overlay = self.overlay
        for key, state in states.items():
            if overlay.get(key) == state:
                del overlay[key]

    def drop(self) -> None:
        """Let go of everything that is not stored, and of the keys, for others may hold a dropped
        lane for long; the store steps stop at their next check."""
        self.live = False
        self.context = self.context.without_keys()
        self.overlay.clear()
        self.full.clear()
        self.work.set()

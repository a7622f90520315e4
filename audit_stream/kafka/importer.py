"""Put files of JSON lines into the raw topics, byte for byte.

Topic: the one given, else the file's name, else the event's `type`. Key: the event's `message_id`
as UTF-8, partition by murmur2 as Kafka's own clients do. A line that is not a JSON object or has
no string `message_id` goes in as it is, without a key, spread over the partitions by line number.
Order within a partition is the order of the lines. No printing: progress goes to a callback.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import orjson

from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.lines import LineFile, open_lines
from audit_stream.kafka.partitioner import key_hash
from audit_stream.kafka.piped import piped_lines, standard_pipe
from audit_stream.kafka.positions import Position, Positions
from audit_stream.kafka.refused import Refusals, Refused, Tally
from audit_stream.kafka.sending import Counter, Lane, Mark, Sink, open_lanes, sending

_LINES_PER_TURN = 500  # between two turns of the event loop
_TURNS_PER_SECOND = 20  # at a limited rate, so that it flows evenly
_SAVE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the import is; `total_bytes` is None when standard input is among the files."""

    file: str
    lines: int
    read_bytes: int
    total_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to import. `folder` is where positions lie, None for beside each file."""

    topic: str | None = None
    dry_run: bool = False
    resume: bool = False
    folder: Path | None = None
    keep_positions: bool = False
    rate: int | None = None  # lines a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What the broker acknowledged (in a dry run: would get), and what was not sent, also by the
    runs before that this one went on from."""

    partitions: Mapping[str, Sequence[int]]  # topic -> records by partition
    files: Mapping[str, int]  # file -> its last line that was dealt with
    without_key: int
    sent_bytes: int
    refused: Sequence[Refused]  # the first of each file
    refused_lines: int  # all of them
    seconds: float
    stopped: bool  # before the end, as was asked for

    @property
    def sent(self) -> dict[str, int]:
        """Records by topic."""
        return {topic: sum(counts) for topic, counts in self.partitions.items()}

    @property
    def total(self) -> int:
        """Records in all topics."""
        return sum(self.sent.values())


@dataclass(slots=True)
class _Run:
    """One import on its way."""

    files: Sequence[LineFile]
    options: Options
    sink: Sink
    progress: Callable[[Progress], None]
    stop: asyncio.Event
    save: Callable[[Mark, Mapping[int, Tally]], None]
    reached: Mark
    refusals: Refusals
    ends: dict[str, int] = field(default_factory=dict)
    lines: int = 0
    without_key: int = 0
    sent_bytes: int = 0
    finished_bytes: int = 0
    began: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)

    async def all_files(self, begun: Mapping[int, Position]) -> None:
        """Send every line of the files, in order, from where they were left."""
        for index, file in enumerate(self.files):
            position = begun.get(index)
            if not (position and position.done):
                await self._file(file, _start(begun, index))
            if self.stop.is_set():
                break
            self.finished_bytes += file.size or 0
            self.reached = Mark(index + 1, 0, 0)
            self._report(file, 0)
        await self.sink.finish()

    async def _file(self, file: LineFile, at: Mark) -> None:
        self.reached = at
        pipe = standard_pipe() if file.path is None else None
        if pipe is None:
            at = await self._stored(file, at)
        else:
            at = await self._piped(file, pipe, at)
        self.ends[file.name] = at.line
        self.reached = at

    async def _stored(self, file: LineFile, at: Mark) -> Mark:
        """Send the lines of a file; where it was left."""
        named, turn = self._named(file), _turn(self.options.rate)
        with open_lines(file, at.offset) as (lines, position):
            for line in lines:
                at = await self._line(file, named, line, at)
                if at.line % turn == 0 and await self._between(file, at, position()):
                    break
        return at

    async def _piped(self, file: LineFile, pipe: int, at: Mark) -> Mark:
        """Send the lines of standard input as they come, and what is begun when none does."""
        named = self._named(file)
        async for lines in piped_lines(pipe, _turn(self.options.rate), self.stop):
            for line in lines:
                at = await self._line(file, named, line, at)
            if not lines:
                await self.sink.finish()
            if await self._between(file, at, 0):
                break
        return at

    def _named(self, file: LineFile) -> str | None:
        return self.options.topic or (file.topic if file.topic in self.sink.lanes else None)

    async def _line(self, file: LineFile, named: str | None, line: bytes, mark: Mark) -> Mark:
        """Send one line; the mark behind it."""
        self.lines += 1
        number = mark.line + 1
        key, kind = _read(line)
        if number in file.keys:
            key = file.keys[number]
        lane = self.sink.lanes.get(named or kind or "")
        if reason := _refusal(lane, key, line):
            self.refusals.add(mark, reason)
        elif lane is not None:
            self.without_key += key is None
            self.sent_bytes += len(line)
            partition = _partition(key, number, lane.partitions)
            if not self.sink.add(lane, partition, key, line, mark):
                await self.sink.send(lane, partition)
                self.sink.add(lane, partition, key, line, mark)  # the first always fits
        return Mark(mark.file, number, mark.offset + len(line) + 1)

    async def _between(self, file: LineFile, reached: Mark, position: int) -> bool:
        """Between two turns: note how far it is, and let others run. Whether to stop."""
        self.reached = reached
        self._report(file, position)
        await self._pause()
        if self.refusals.is_full:
            await self.sink.finish()
            self.note()
        return self.stop.is_set()

    async def _pause(self) -> None:
        """Let others run; at a limited rate, until this much is due."""
        due = self.began + self.lines / self.options.rate if self.options.rate else 0.0
        await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _report(self, file: LineFile, position: int) -> None:
        sizes = [one.size for one in self.files]
        self.progress(Progress(
            file=file.name, lines=self.lines, read_bytes=self.finished_bytes + position,
            total_bytes=None if None in sizes else sum(size or 0 for size in sizes),
        ))  # fmt: skip
        if time.monotonic() - self.saved >= _SAVE_SECONDS:
            self.note()

    def note(self) -> None:
        """Save how far everything is acknowledged."""
        self.saved = time.monotonic()
        settled = self.sink.settled(self.reached)
        self.save(settled, self.refusals.settle(settled))

    def result(self) -> Imported:
        """What came of it."""
        return Imported(
            partitions={t: tuple(lane.sent) for t, lane in self.sink.lanes.items() if lane.total},
            files=dict(self.ends), without_key=self.without_key, sent_bytes=self.sent_bytes,
            refused=tuple(self.refusals.first), refused_lines=self.refusals.count,
            seconds=time.monotonic() - self.began, stopped=self.stop.is_set(),
        )  # fmt: skip


async def import_files(
    connection: KafkaConnection, files: Sequence[LineFile], *, raw_topics: Sequence[str],
    options: Options = Options(), progress: Callable[[Progress], None] = lambda _: None,
    refused: Callable[[Refused], None] = lambda _: None, stop: asyncio.Event | None = None,
) -> Imported:  # fmt: skip
    """Send every line of `files`, in order. `raw_topics` are those a name or a type may mean.

    `refused` is told of each line that is not sent, at once; first of those that the runs before
    did not send, where this one goes on.
    Once `stop` is set, what is in flight is still acknowledged and the position kept. Raises
    TopicError when a topic is missing, ConfigError for a damaged file or a position that does not
    fit, BrokerError when the broker does not take a batch; the position then says what is in.
    """
    topics = (options.topic,) if options.topic else tuple(raw_topics)
    lanes = await open_lanes(connection, topics)
    ids = {topic: lane.topic_id for topic, lane in lanes.items()}
    positions = Positions(files, ids, options.folder)
    begun = positions.begun() if options.resume else {}
    keep = options.keep_positions and not options.dry_run
    tallies = {index: position.tally for index, position in begun.items()}
    refusals = Refusals([file.name for file in files], tallies, refused)
    async with _sink(connection, lanes, options) as sink:
        run = _Run(
            files, options, sink, progress, stop or asyncio.Event(),
            positions.save if keep else lambda *_: None, _start(begun, 0), refusals,
        )  # fmt: skip
        try:
            await run.all_files(begun)
        finally:
            run.note()
    if keep and not run.stop.is_set():
        positions.remove()
    return run.result()


@asynccontextmanager
async def _sink(
    connection: KafkaConnection, lanes: Mapping[str, Lane], options: Options
) -> AsyncIterator[Sink]:
    if options.dry_run:
        yield Counter(lanes)
        return
    async with sending(connection, lanes) as sender:
        yield sender


def _start(begun: Mapping[int, Position], index: int) -> Mark:
    position = begun.get(index)
    return Mark(index, position.line, position.offset) if position else Mark(index, 0, 0)


def _turn(rate: int | None) -> int:
    return min(_LINES_PER_TURN, max(1, rate // _TURNS_PER_SECOND)) if rate else _LINES_PER_TURN


def _read(line: bytes) -> tuple[bytes | None, str | None]:
    """Key and event type of a line; None where it has none."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None, None
    if type(event) is not dict:
        return None, None
    message_id, kind = event.get("message_id"), event.get("type")
    return (
        message_id.encode() if type(message_id) is str else None,
        kind if type(kind) is str else None,
    )


def _refusal(lane: Lane | None, key: bytes | None, line: bytes) -> str | None:
    if lane is None:
        return "no topic: neither the file's name nor the event's type is a raw topic"
    if len(line) + len(key or b"") > lane.max_value:
        return f"larger than {lane.topic} takes ({lane.max_value} bytes)"
    return None


def _partition(key: bytes | None, number: int, partitions: int) -> int:
    return number % partitions if key is None else _hash(key) % partitions


@lru_cache(maxsize=1 << 16)  # murmur2 is Python, and a message has several events
def _hash(key: bytes) -> int:
    return key_hash(key)

"""An archive made from the workload without Kafka: judged, sealed and stored as a worker would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256, shake_256
from pathlib import Path

from audit_stream.evidence import layout
from audit_stream.evidence.rawmac import raw_key
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.flatten.status_map import StatusMap
from audit_stream.precedence.matrix import State
from audit_stream.privacy.keyring import new_keyring, secret_size
from audit_stream.privacy.named_object import NONCE_BYTES
from audit_stream.privacy.sealer import RecordSealer
from audit_stream.privacy.subject_object import seal_tags
from audit_stream.privacy.subjects import KeyDeriver
from audit_stream.seal.builder import Limits, Link, Origin, SegmentBuilder
from audit_stream.seal.judge import Judge
from audit_stream.stores.file import FileStore
from audit_stream.stores.subjects import FileSubjectStore
from bench.generate import PARTITIONS, Event, Workload, generate

ROOT = Path(__file__).resolve().parent.parent
TOPIC, NAME = "outbound_message_status_update", "bench"
KEYRING, COVER = new_keyring(NAME, 2020, shake_256(b"bench").digest(secret_size()))
SIGNER = LineSigner(KEYRING.segment_key or b"")
TRUSTED = TrustedKeys(SIGNER.public)
FIRST_MS = 1_715_351_521_000
_CHUNK = 5_000  # events judged at once
_STATUS_MAP = StatusMap.parse((ROOT / "topics" / "status-map.v1.json").read_bytes())


def _as_is(event: Event) -> Event:
    return event


@dataclass(frozen=True, slots=True)
class _Raw:
    """An event at its place in the raw topic."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchArchive:
    """A folder with `archive` and `subjects`, filled by `make`."""

    folder: Path
    generation: int = 1
    segment_records: int = 10_000

    @property
    def store(self) -> FileStore:
        """The archive."""
        return FileStore(self.folder / "archive")

    @property
    def subjects(self) -> FileSubjectStore:
        """The subject objects."""
        return FileSubjectStore(self.folder / "subjects")

    @property
    def stream(self) -> StreamObject:
        """Its only stream."""
        return StreamObject(
            archive=NAME, ended=None, generation=self.generation, genesis=[0] * PARTITIONS,
            partitions=PARTITIONS, reason="first seen", topic=TOPIC, topic_id=None,
            stream=sha256(b"%d" % self.generation).hexdigest()[:32],
        )  # fmt: skip

    def make(self, events: int, seed: int = 1, change: Callable[[Event], Event] = _as_is) -> int:
        """Archive so many events, each changed before; the number of records."""
        stream = self.stream
        name = layout.stream_name(TOPIC, self.generation)
        self.store.put_sync(name, stream.encode(SIGNER))
        self.store.put_sync(layout.map_name(_STATUS_MAP.hash), _STATUS_MAP.canonical_bytes)
        events_of: list[list[_Raw]] = [[] for _ in range(PARTITIONS)]
        lanes = [_Lane(self, stream, partition) for partition in range(PARTITIONS)]
        for event in generate(Workload(events=events, warmup=0, seed=seed)):
            waiting = events_of[event.partition]
            waiting.append(lanes[event.partition].raw(change(event)))
            if len(waiting) == _CHUNK:
                lanes[event.partition].take(waiting)
                waiting.clear()
        for lane, waiting in zip(lanes, events_of, strict=True):
            lane.take(waiting)
            lane.seal()
        return sum(lane.records for lane in lanes)


@dataclass(slots=True)
class _Lane:
    """One partition."""

    archive: BenchArchive
    stream: StreamObject
    partition: int
    records: int = 0
    _offset: int = 0
    _states: dict[bytes, State] = field(default_factory=dict)
    _link: Link = field(default_factory=lambda: Link(next=0, seq=0, leaf=None))
    _judge: Judge = field(init=False)
    _builder: SegmentBuilder = field(init=False)

    def __post_init__(self) -> None:
        keys = KeyDeriver(KEYRING, COVER, bytes.fromhex(self.stream.stream))
        sealer = RecordSealer(
            keys, topic=TOPIC, generation=self.stream.generation, partition=self.partition,
            regulatory_tag="COMPLIANCE_ARCHIVE_V1",
        )  # fmt: skip
        self._judge = Judge(self.stream.stream, _STATUS_MAP, sealer, self._states.get)
        self._begin()

    def _begin(self) -> None:
        self._builder = SegmentBuilder(self._link.next, raw_key(KEYRING.index_key))

    def raw(self, event: Event) -> _Raw:
        """The event at the partition's next offset."""
        self._offset += 1
        return _Raw(self._offset - 1, FIRST_MS + self._offset, event.key, event.value)

    def take(self, records: Sequence[_Raw]) -> None:
        """Judge them, and seal whatever segments become full."""
        limits = Limits(records=self.archive.segment_records, size=8 << 20, age_ms=1 << 60)
        rest = list(records)
        while rest:
            room = self.archive.segment_records - self._builder.count
            chunk, used = self._judge.judge(rest, self._builder.next, rest[-1].offset + 1, room)
            self._states.update(chunk.states)
            self._builder.add(chunk, 0)
            rest = rest[used:]
            if self._builder.due(0, limits):
                self.seal()

    def seal(self) -> None:
        """Store what was gathered: the subject object first."""
        if self._builder.empty:
            return
        origin = Origin(
            archive=NAME, assurance="mutable", writer="bench", status_map=_STATUS_MAP.hash,
            key_epoch=1, raw_key=b"",
        )  # fmt: skip
        sealed = self._builder.seal(self._link, self.stream, self.partition, origin, SIGNER, 0)
        name = sealed.subject_name
        tags = seal_tags(KEYRING.index_key, name, sealed.tags, bytes(NONCE_BYTES))
        self.archive.subjects.create_sync(name, tags)
        self.archive.store.put_sync(str(sealed.name), sealed.data)
        self.records += sealed.header.count
        self._link = sealed.link
        self._begin()

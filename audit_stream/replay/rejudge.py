"""Judging raw records again by what a stored segment names: its status map and its key epoch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from audit_stream.errors import ConfigError
from audit_stream.evidence import layout
from audit_stream.evidence.segment import Segment
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.flatten.status_map import StatusMap
from audit_stream.kafka.rawlog import RawBatch
from audit_stream.ports import WormStore
from audit_stream.precedence.matrix import State
from audit_stream.privacy.sealer import RecordSealer
from audit_stream.replay.keys import StreamKeys
from audit_stream.seal.judge import Chunk, Judge, Lookup

_NO_LIMIT = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a stream's records depend on beside raw log, status map and keys."""

    regulatory_tag: str
    placeholders: Collection[str]
    raw_key: bytes = field(repr=False)


class Maps:
    """Status maps of an archive by their hash."""

    def __init__(self, store: WormStore) -> None:
        self._store = store
        self._known: dict[str, StatusMap | None] = {}

    async def get(self, map_hash: str) -> StatusMap | None:
        """The map, None when it is missing or is not what its name says."""
        if map_hash not in self._known:
            data = await self._store.get(layout.map_name(map_hash))
            self._known[map_hash] = None if data is None else _parse(data, map_hash)
        return self._known[map_hash]


def _parse(data: bytes, map_hash: str) -> StatusMap | None:
    try:
        found = StatusMap.parse(data)
    except ConfigError:
        return None
    return found if found.hash == map_hash else None


class Rejudge:
    """Judges the records of one stream and partition; `overlay` is decided and not yet applied."""

    def __init__(
        self, stream: StreamObject, partition: int, rules: Rules, keys: StreamKeys, lookup: Lookup
    ) -> None:
        self.overlay: dict[bytes, State] = {}
        self._stream, self._partition = stream, partition
        self._rules, self._keys, self._lookup = rules, keys, lookup

    def judge_of(self, segment: Segment, status_map: StatusMap) -> Judge:
        """The judge of a segment's offsets. `KeyringError` without a key tree of its epoch."""
        stream, rules = self._stream, self._rules
        keys = self._keys.at(segment.header.key_epoch)
        keys.sealed = segment.body
        sealer = RecordSealer(
            keys, topic=stream.topic, generation=stream.generation, partition=self._partition,
            regulatory_tag=rules.regulatory_tag, placeholders=rules.placeholders,
        )  # fmt: skip
        return Judge(stream.stream, status_map, sealer, self._lookup, self.overlay)

    def judge(self, judge: Judge, batch: RawBatch) -> Chunk:
        """Judge a whole batch; what it decides stands in the overlay."""
        chunk, _ = judge.judge(batch.records, batch.base, batch.next, _NO_LIMIT, batch.lost_before)
        self.overlay.update(chunk.states)
        return chunk

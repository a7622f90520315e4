"""The form of states in RocksDB and in the changelog (ADR 0026).

Both are caches, so a form is never converted: each has keys of its own, and says under keys of its
own how far segments are applied. What another form wrote is not looked at; what is missing in this
one is folded in from the archive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from audit_stream.evidence.segment import Header
from audit_stream.precedence.matrix import State, pack_state, stream_prefix, unpack_state
from audit_stream.stream.changelog import Pair

_MARKER = Struct(">16sQQ32s")


class Applied(NamedTuple):
    """How far a topic's segments of this partition are in the table: up to this one."""

    stream: bytes  # raw id: the topic's generation the states belong to
    base: int  # of the last segment applied
    next: int  # first offset behind it
    leaf: bytes  # of its header

    def pack(self) -> bytes:
        """The marker's bytes, in RocksDB and in the changelog alike."""
        return _MARKER.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> Applied:
        """The inverse of `pack`."""
        return cls(*_MARKER.unpack(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class StateForm:
    """How states stand in the table. Another form must differ in `name`, `prefix` and `marker`,
    and its `prefix` begin with a zero byte: a stream's id, with which the first one's keys begin,
    never does."""

    name: str  # what the state directory says it holds
    prefix: bytes  # before the key of every state
    marker: bytes  # before the topic, in the key of its applied marker
    pack: Callable[[State], bytes] = pack_state
    unpack: Callable[[bytes], State] = unpack_state

    def keys_begin(self, stream: bytes) -> bytes:
        """What the stored keys of a stream's states begin with."""
        return self.prefix + stream_prefix(stream.hex())

    def applied_key(self, topic: str) -> bytes:
        """Key of a topic's applied marker."""
        return self.marker + topic.encode()

    def marker_of(self, header: Header, leaf: bytes) -> Pair:
        """The entry that says a segment is applied; it comes after the segment's states."""
        applied = Applied(bytes.fromhex(header.stream), header.base, header.next, leaf)
        return self.applied_key(header.topic), applied.pack()

    def states(self, states: Mapping[bytes, State]) -> list[Pair]:
        """The entries of states."""
        return [(self.prefix + key, self.pack(state)) for key, state in states.items()]

    def changes_of(self, header: Header, leaf: bytes, states: Mapping[bytes, State]) -> list[Pair]:
        """What a stored segment changes: its states, and the applied marker last."""
        return [*self.states(states), self.marker_of(header, leaf)]


FIRST_FORM = StateForm(name="audit-state/1", prefix=b"", marker=b"\x00applied-stream\x00")

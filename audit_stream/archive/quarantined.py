"""What was quarantined in a topic, over its generations, and what of it was archived since.

A retry's record names the position at which its event was quarantined, and no generation: once a
topic was recreated, two events can have been quarantined at one position. An event that was
archived in a generation was quarantined in that or an earlier one. So it stands for one of them,
however often it was retried, and never for a later one.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from audit_stream.archive.chain import is_whole
from audit_stream.evidence import ledger
from audit_stream.evidence.segment import Segment

_Event = tuple[str, str, str]


class _Pub(msgspec.Struct):
    audit_id: str
    delivery_status: str
    message_uuid: str
    origin: str | None


class _Line(msgspec.Struct):
    pub: _Pub


_decode = msgspec.json.Decoder(_Line).decode


class QuarantinedOffsets:
    """Quarantined offsets and retries of one topic."""

    def __init__(self, topic: str) -> None:
        self._prefix = f"{topic}/"
        #: By ``partition/offset``, the generations.
        self._inside: dict[str, tuple[int, ...]] = {}
        self._outside: dict[str, tuple[int, ...]] = {}
        #: What was archived of a position, and the generation it first was.
        self._retried: dict[str, dict[_Event, int]] = {}

    def take(self, segment: Segment, *, counts: bool = True) -> None:
        """Read a segment. `counts`: whether what it quarantined is asked for; of what is not, the
        retries are known."""
        header = segment.header
        if ledger.QUARANTINED in header.ledger:
            runs = ledger.decode(header.ledger, header.next - header.base)
            into = self._inside if counts else self._outside
            for offset in ledger.offsets_with(ledger.QUARANTINED, runs, header.base):
                position = f"{header.partition}/{offset}"
                into[position] = (*into.get(position, ()), header.generation)
        if f'"origin":"{self._prefix}'.encode() in segment.body and is_whole(segment):
            for line in segment.record_lines():
                self._look_at(_decode(line).pub, header.generation)

    def _look_at(self, pub: _Pub, generation: int) -> None:
        """A rekeyed topic's copies have an origin, too: in another topic, where nothing was
        quarantined."""
        if pub.origin is None or not pub.origin.startswith(self._prefix):
            return
        events = self._retried.setdefault(pub.origin.removeprefix(self._prefix), {})
        event = (pub.message_uuid, pub.delivery_status, pub.audit_id)
        events[event] = min(generation, events.get(event, generation))

    @property
    def unresolved(self) -> int:
        """Quarantined offsets asked for of which it is not shown that a retry was archived."""
        left = sum(map(len, self._inside.values()))
        for position, events in self._retried.items():
            inside = self._inside.get(position, ())
            others = self._outside.get(position, ())
            retried = events.values()
            left -= _matched(inside + others, retried) - _matched(others, retried)
        return left


def _matched(quarantined: tuple[int, ...], retried: Iterable[int]) -> int:
    """How many of the events, by the generations they were retried in, can be one of those that
    were quarantined, each in that generation or before."""
    matched = 0
    for generation in sorted(retried):
        matched += matched < sum(each <= generation for each in quarantined)
    return matched

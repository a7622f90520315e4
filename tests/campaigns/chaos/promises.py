"""P1, P2 and P4 by a pass of our own over raw log and archive. Pure.

Each offset of each stream must have one disposition, and the one that its line must have behind
those before it; each archived record must be that line's, one revision above the message's last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.campaigns.chaos import archived
from tests.campaigns.chaos.archived import Objects, Segment, Stream
from tests.campaigns.chaos.rawlog import Log
from tests.campaigns.chaos.traffic import MEANS, RANK, Kind, Made

Made_ = Mapping[tuple[bytes | None, bytes | None], Made]


@dataclass
class Found:
    """What a pass came to. A problem begins with the promise that it breaks."""

    problems: list[str] = field(default_factory=list)
    letters: Counter[str] = field(default_factory=Counter)
    quarantined: set[str] = field(default_factory=set)  # sources
    once: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    records: list[tuple[Segment, int, Made]] = field(default_factory=list, repr=False)

    def say(self, promise: str, what: str) -> None:
        """Note a violation; of many alike the first tell enough."""
        self.problems.append(f"{promise}: {what}")


@dataclass(slots=True)
class _Held:
    rank: int
    revision: int
    source: str


def judge(
    objects: Objects, logs: Mapping[tuple[str, int], Mapping[int, Log]], made: Made_,
    public: bytes, learned: Callable[[str], bool],
) -> Found:  # fmt: skip
    """`learned`: whether the status map of a hash knows the late word."""
    found, streams = Found(), archived.streams(objects)
    if {(each.topic, each.generation) for each in streams} != set(logs):
        found.say("P1", f"streams {[each.place for each in streams]} for logs {sorted(logs)}")
        return found
    for stream in streams:
        for partition, log in logs[stream.topic, stream.generation].items():
            chain = archived.segments(objects, stream, partition, public)
            _Walk(found, stream, partition, log, made, learned).over(chain)
    for key, count in found.once.items():
        if count > 1:
            found.say("P2", f"{key} stands in the archive {count} times")
    return found


class _Walk:
    """One partition of one generation."""

    def __init__(
        self, found: Found, stream: Stream, partition: int, log: Log, made: Made_,
        learned: Callable[[str], bool],
    ) -> None:  # fmt: skip
        self._found, self._stream, self._partition = found, stream, partition
        self._log, self._made, self._learned = log, made, learned
        self._held: dict[tuple[str, str], _Held] = {}

    def over(self, chain: list[Segment]) -> None:
        """The chain tiles what there is, and says of each offset what must be said."""
        at, ends = self._stream.genesis[self._partition], self._stream.ends
        for segment in chain:
            base, following = segment.header["base"], segment.header["next"]
            if base != at:
                self._found.say("P1", f"{segment.name} begins at {base}, not at {at}")
            self._segment(segment)
            at = following
        end = self._log.end if ends is None else ends[self._partition]
        if at != end:
            self._found.say("P1", f"{self._stream.place}/{self._partition} ends at {at}, not {end}")

    def _segment(self, segment: Segment) -> None:
        learned, pubs = self._learned(segment.header["status_map"]), iter(enumerate(segment.pubs))
        last = segment.header["base"] - 1
        for offset, letter in segment.letters():
            last = offset
            line = self._log.records.get(offset)
            made = None if line is None else self._made[line]
            source = f"{self._stream.place}/{self._partition}/{offset}"
            wanted = self._wanted(offset, made, learned)
            if letter != wanted:
                self._found.say("P1", f"{source} is {letter}, not {wanted} ({made})")
            self._found.letters[letter] += 1
            if letter == "q":
                self._found.quarantined.add(source)
            if letter == "a" and made is not None:
                self._record(segment, next(pubs, None), made, source)
        if last + 1 != segment.header["next"]:
            self._found.say("P1", f"the ledger of {segment.name} ends at {last + 1}")
        for _, pub in pubs:
            self._found.say("P2", f"{segment.name} has a record more, of {pub['source']}")

    def _wanted(self, offset: int, made: Made | None, learned: bool) -> str:
        if made is None:
            return "l" if offset < self._log.start else "x"
        if made.kind is Kind.POISON or (made.kind is Kind.UNMAPPED and not learned):
            return "q"
        if made.kind is Kind.INTERMEDIATE:
            return "i"
        held = self._held.get((made.tenant, made.message))
        rank = RANK[_status(made)]
        if held is None or rank > held.rank:
            return "a"
        return "d" if rank == held.rank else "r"

    def _record(
        self, segment: Segment, line: tuple[int, Mapping[str, object]] | None, made: Made,
        source: str,
    ) -> None:  # fmt: skip
        if line is None:
            self._found.say("P1", f"{source} is archived, and has no record")
            return
        index, pub = line
        before = self._held.get((made.tenant, made.message))
        wanted = {
            "source": source, "platform_tenant_id": made.tenant, "message_uuid": made.message,
            "delivery_status": _status(made),
        }  # fmt: skip
        revision = {
            "revision": before.revision + 1 if before else 1,
            "supersedes": before.source if before else None,
        }
        for promise, fields in (("P2", wanted), ("P4", revision)):
            for name, value in fields.items():
                if pub[name] != value:
                    self._found.say(promise, f"{source}: {name} is {pub[name]}, not {value}")
        rank = RANK.get(str(pub["delivery_status"]), 0)
        if before is not None and rank <= before.rank:
            self._found.say("P4", f"{source}: {pub['delivery_status']} does not rise")
        self._held[made.tenant, made.message] = _Held(
            rank, int(str(pub["revision"])), str(pub["source"])
        )
        self._found.once[
            self._stream.place, made.tenant, str(pub["message_uuid"]), str(pub["delivery_status"])
        ] += 1
        self._found.records.append((segment, index, made))


def _status(made: Made) -> str:
    return MEANS if made.kind is Kind.UNMAPPED else made.status


def unsent(
    logs: Mapping[tuple[str, int], Mapping[int, Log]],
    sent: Mapping[str, set[tuple[bytes | None, bytes | None]]],
) -> Iterator[str]:
    """Acknowledged lines that no raw topic holds: then it is the broker that lost something."""
    held: dict[str, set[tuple[bytes | None, bytes | None]]] = {}
    for (topic, _), partitions in logs.items():
        for log in partitions.values():
            held.setdefault(topic, set()).update(log.records.values())
    for topic, lines in sent.items():
        for key, _ in lines - held.get(topic, set()):
            yield f"P1: the brokers lost an acknowledged line of {topic} under {key!r}"

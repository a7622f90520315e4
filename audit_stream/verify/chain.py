"""Verification of one stream and partition: its segments in order, and its messages' revisions.

V11 the first segment begins at genesis with seq 0, and each next one where the last ended:
    no hole, no overlap, `prev` the leaf hash before, `seq` one more, `key_epoch` not lower;
    the end of the generation, if there is one, stands there last, and names the segment before
V12 junk passed over is named in `void` with its hash
V13 a message's revisions count 1, 2, …, each superseding the source of the one before, each of
    a higher status; where one before was disposed of, only that it is a later one shows
"""

from __future__ import annotations

from collections.abc import Sequence

from audit_stream.evidence.ending import Ending
from audit_stream.evidence.segment import Header, Segment
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.verify.record import Facts
from audit_stream.verify.report import Failed, step

# Of each message an integer: source offset, then revision and rank in 3 bits each. Both end at 4,
# for every revision has a higher rank than the one before.
_BITS = 3
_MASK = (1 << _BITS) - 1


class ChainVerifier:
    """Takes the segments of one stream and partition in the order of their bases.

    Holds 16 hash bytes and an integer a message, so memory is bounded by one partition's messages.
    """

    def __init__(self, stream: StreamObject, partition: int) -> None:
        self.next = stream.genesis[partition]
        self.leaf: str | None = None
        self.closed = False
        self._last: int | None = None
        self._seq = 0
        self._epoch = 0
        self._prefix = f"{stream.topic}/{stream.generation}/{partition}/".encode()
        self._messages: dict[bytes, int] = {}
        self._disposed: list[tuple[int, int]] = []  # stretches of offsets without records

    def link(self, segment: Segment) -> None:
        """Step V11, a segment."""
        header = segment.header
        self._check_place(header)
        step("V11", header.key_epoch >= self._epoch, f"line 1 key_epoch {header.key_epoch} is "
             f"below {self._epoch}")  # fmt: skip
        self.next, self.leaf, self._last = header.next, segment.leaf.hex(), header.base
        self._seq, self._epoch = header.seq + 1, header.key_epoch

    def dispose(self, header: Header) -> None:
        """Of the segment linked last only the header is left."""
        if self._disposed and self._disposed[-1][1] == header.base:
            self._disposed[-1] = (self._disposed[-1][0], header.next)
        else:
            self._disposed.append((header.base, header.next))

    def close(self, ending: Ending) -> None:
        """Step V11, the end of the generation."""
        self._check_place(ending)
        step("V11", ending.last == self._last, "line 1 last is not the base of the segment before")
        self.closed = True

    def _check_place(self, header: Header | Ending) -> None:
        step("V11", not self.closed, "stands behind the end of its generation")
        if header.base != self.next:
            low, high = sorted((header.base, self.next))
            times = "twice" if header.base < self.next else "nowhere"
            raise Failed(
                "V11", f"line 1 base is {header.base}: offsets {low} to {high - 1} are covered "
                f"{times}"
            )  # fmt: skip
        step("V11", header.seq == self._seq, f"line 1 seq is {header.seq}, not {self._seq}")
        step("V11", header.prev == self.leaf, "line 1 prev is not the leaf hash of the segment "
             "before")  # fmt: skip

    @staticmethod
    def void(header: Header | Ending, junk: list[dict[str, str]]) -> None:
        """Step V12: `junk` is what lies under the names before this one."""
        step("V12", list(header.void) == junk, "line 1 void does not name the objects "
             "passed over")  # fmt: skip

    def revisions(self, records: Sequence[Facts]) -> None:
        """Step V13."""
        messages, prefix, skip = self._messages, self._prefix, len(self._prefix)
        for number, record in enumerate(records, start=3):
            held = messages.get(record.message)
            if held is None:
                revision, rank, before = 1, 0, None
            else:
                revision, rank = (held >> _BITS & _MASK) + 1, held & _MASK
                before = b"%b%d" % (prefix, held >> 2 * _BITS)
            if record.supersedes != before and self._is_behind_disposed(record, revision, held):
                revision, before = record.revision, record.supersedes
            if record.revision != revision:
                raise Failed("V13", f"line {number} revision is {record.revision}, not {revision}")
            if record.supersedes != before:
                wanted = before.decode() if before else "null"
                raise Failed("V13", f"line {number} supersedes is not {wanted}")
            if record.rank <= rank:
                raise Failed("V13", f"line {number} delivery_status is no rise")
            offset = int(record.source[skip:])
            messages[record.message] = (offset << _BITS | revision) << _BITS | record.rank

    def _is_behind_disposed(self, record: Facts, least: int, held: int | None) -> bool:
        """Whether the record supersedes one that was disposed of, behind the one held, and counts
        on: of every revision in between the rank was higher, too."""
        source, skip = record.supersedes or b"", len(self._prefix)
        if not source.startswith(self._prefix) or not source[skip:].isdigit():
            return False
        offset, rank = int(source[skip:]), 0 if held is None else held & _MASK
        if not any(base <= offset < following for base, following in self._disposed):
            return False
        if held is not None and offset <= held >> 2 * _BITS:
            return False
        return least < record.revision <= record.rank - rank + least - 1

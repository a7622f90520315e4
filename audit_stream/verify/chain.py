"""Verification of one stream and partition: its segments in order, and its messages' revisions.

V11 the first segment begins at genesis with seq 0, and each next one where the last ended:
    no hole, no overlap, `prev` the leaf hash before, `seq` one more, `key_epoch` not lower
V12 junk passed over is named in `void` with its hash
V13 a message's revisions count 1, 2, …, each superseding the source of the one before, each of
    a higher status
"""

from __future__ import annotations

from hashlib import blake2b

from audit_stream.evidence.record import Record
from audit_stream.evidence.segment import Segment
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.precedence.matrix import RANK
from audit_stream.verify.segment import Failed, _step


class ChainVerifier:
    """Takes the segments of one stream and partition in the order of their bases."""

    def __init__(self, stream: StreamObject, partition: int) -> None:
        self.next = stream.genesis[partition]
        self.leaf: str | None = None
        self._seq = 0
        self._epoch = 0
        self._prefix = f"{stream.topic}/{stream.generation}/{partition}/"
        # 16 hash bytes instead of the ids, packed: a billion messages do not fit otherwise.
        self._messages: dict[bytes, tuple[int, int, int]] = {}  # -> rank, revision, offset

    def link(self, segment: Segment) -> None:
        """Step V11."""
        header = segment.header
        _step("V11", header.base == self.next, f"line 1 base is {header.base}: offsets "
              f"{self.next} to {header.base} are covered {'twice' if header.base < self.next else 'nowhere'}")  # fmt: skip  # noqa: E501
        _step("V11", header.seq == self._seq, f"line 1 seq is {header.seq}, not {self._seq}")
        _step("V11", header.prev == self.leaf, "line 1 prev is not the leaf hash of the segment "
              "before")  # fmt: skip
        _step("V11", header.key_epoch >= self._epoch, "line 1 key_epoch falls")
        self.next, self.leaf = header.next, segment.leaf.hex()
        self._seq, self._epoch = header.seq + 1, header.key_epoch

    def void(self, segment: Segment, junk: list[dict[str, str]]) -> None:
        """Step V12: `junk` is what lies under the names before this one."""
        _step("V12", list(segment.header.void) == junk, "line 1 void does not name the objects "
              "passed over")  # fmt: skip

    def revisions(self, records: list[Record]) -> None:
        """Step V13."""
        for number, record in enumerate(records, start=3):
            pub = record.pub
            text = f"{pub['platform_tenant_id']}\x00{pub['message_uuid']}"
            key = blake2b(text.encode(), digest_size=16).digest()
            rank, source = RANK[pub["delivery_status"]], pub["source"]
            held = self._messages.get(key)
            before = None if held is None else f"{self._prefix}{held[2]}"
            revision = 1 if held is None else held[1] + 1
            if pub["revision"] != revision:
                raise Failed("V13", f"line {number} revision is {pub['revision']}, not {revision}")
            if pub["supersedes"] != before:
                raise Failed("V13", f"line {number} supersedes is not {before}")
            if held is not None and rank <= held[0]:
                raise Failed("V13", f"line {number} delivery_status is no rise")
            self._messages[key] = (rank, revision, int(source.rpartition("/")[2]))

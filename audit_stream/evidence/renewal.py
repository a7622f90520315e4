"""How long a timestamp counts: until its authority's certificate ends, or a later one renewed it.

The later one is over a checkpoint in which the anchor is a leaf (`audit-anchor/1`): it shows that
the earlier one was there while it still counted. The idea of RFC 4998 (archive timestamps), with
the log's own tree in place of its hash trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from audit_stream.evidence.anchor_line import AnchorLine
from audit_stream.evidence.checkpoint import Checkpoint
from audit_stream.evidence.timestamp import Timestamp
from audit_stream.evidence.tree import leaf_hash, verify_inclusion


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """A later timestamp, the checkpoint that it is over, and the way to the earlier anchor."""

    timestamp: Timestamp
    checkpoint: Checkpoint
    index: int  # of the anchor's leaf
    path: Sequence[bytes]

    def renews(self, line: AnchorLine, earlier: Timestamp) -> bool:
        """Whether it shows that the anchor was there before its certificate ended."""
        return (
            earlier.time <= self.timestamp.time <= earlier.certificate_ends
            and verify_inclusion(
                leaf_hash(line.line()), self.index, self.checkpoint.size, self.path,
                self.checkpoint.root,
            )
        )  # fmt: skip


def counts(
    line: AnchorLine, timestamp: Timestamp, renewals: Sequence[tuple[AnchorLine, Renewal]],
    now: datetime,
) -> bool:  # fmt: skip
    """Whether a timestamp that holds still counts; `renewals` one behind the other, each with the
    line of its own anchor, for the one after it."""
    for own, renewal in renewals:
        if not renewal.renews(line, timestamp):
            return False
        line, timestamp = own, renewal.timestamp
    return now <= timestamp.certificate_ends

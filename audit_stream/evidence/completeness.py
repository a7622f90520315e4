"""A statement of completeness, `audit-completeness/1`: every offset of a topic over a period.

One canonical line as the text of a signed note (`evidence.note`) by the archive log's key, so any
tool for notes checks it. It holds no personal data and no message id. A checkpoint's text has three
lines, so neither can be taken for the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from audit_stream.evidence import ledger
from audit_stream.evidence.canonical import canonical

VERSION = "audit-completeness/1"


@dataclass(slots=True, kw_only=True)
class Stretch:
    """The whole segments of one partition that hold the period's records."""

    generation: int
    partition: int
    base: int | None = None  # first offset; None when nothing of the period was there
    next: int | None = None
    first_object: str | None = None
    last_object: str | None = None
    first_ts: int | None = None  # Kafka times (ms) of the first and last record covered
    last_ts: int | None = None
    complete: bool = False  # whether it is shown that nothing more of the period can come
    counts: Counter[str] = field(default_factory=Counter)  # offsets by ledger letter

    @property
    def offsets(self) -> int:
        """How many were covered."""
        return self.counts.total()

    def document(self) -> dict[str, Any]:
        """As JSON."""
        own = asdict(self)
        del own["counts"]
        return own | {"dispositions": by_meaning(self.counts)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What an archive says of a topic over [start, stop)."""

    archive: str
    topic: str
    start: str  # RFC 3339
    stop: str
    made_at: str
    stretches: Sequence[Stretch]
    unexplained: int
    unresolved: int  # quarantined, and no retry of it was archived since
    assurance: str | None  # the lowest level of the segments
    checkpoint: str | None  # signed note of the archive log

    @property
    def counts(self) -> Counter[str]:
        """Offsets by ledger letter."""
        return sum((each.counts for each in self.stretches), Counter())

    @property
    def is_complete(self) -> bool:
        """Whether nothing of the period can be missing from the archive: the period is over in
        every partition, and nothing of it was lost or is unexplained."""
        return self.is_over and not (self.lost or self.unexplained)

    @property
    def is_over(self) -> bool:
        """Whether nothing more of the period can come, in any partition."""
        return bool(self.stretches) and all(each.complete for each in self.stretches)

    @property
    def lost(self) -> int:
        """Offsets that retention deleted before they were archived."""
        return self.counts[ledger.LOST]

    def line(self) -> bytes:
        """The canonical line, without its newline."""
        counts = self.counts
        return canonical({
            "archive": self.archive, "assurance": self.assurance, "checkpoint": self.checkpoint,
            "complete": self.is_complete, "dispositions": by_meaning(counts), "from": self.start,
            "made_at": self.made_at, "offsets": counts.total(),
            "partitions": [each.document() for each in self.stretches],
            "quarantined": counts[ledger.QUARANTINED], "to": self.stop, "topic": self.topic,
            "unexplained": self.unexplained, "unresolved": self.unresolved, "v": VERSION,
        })  # fmt: skip


def by_meaning(counts: Counter[str]) -> dict[str, int]:
    """Offsets by the disposition's name."""
    return {meaning: counts[letter] for letter, meaning in ledger.MEANING.items()}

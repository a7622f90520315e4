"""What a comparison counted so far: kept beside the states, so that it can be gone on with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from audit_stream.evidence.segment import Header
from audit_stream.replay.segment import Compared, Difference

#: Why offsets could not be compared.
RETENTION = "deleted from the raw topic by retention"
ANOTHER_LOG = "the raw topic is another one than was archived"
LOG_ENDS = "the raw topic ends before them"
DISPOSED = "their records were disposed of after their retention"
NO_MAP = "the status map is missing from the archive"
_KEPT_DIFFERENCES = 20


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of one partition. Offsets in range are compared or not comparable, one of the two."""

    of: str = ""  # what is compared with what: a tally is gone on with only for the same
    in_range: int = 0  # offsets done
    compared: int = 0  # offsets
    segments: int = 0  # compared
    records: int = 0  # archived records compared
    events: int = 0  # raw records judged
    erased: int = 0  # records compared without their sealed fields
    only_archived_erased: int = 0  # of them: the keyring still has the person's key
    differing: int = 0  # segments
    differences: list[Difference] = field(default_factory=list)  # the first ones, one a segment
    not_comparable: dict[str, int] = field(default_factory=dict)  # offsets by reason
    folded: int = 0  # offsets whose states were taken from the archive

    @property
    def missed(self) -> int:
        """Offsets that were not comparable."""
        return sum(self.not_comparable.values())

    @property
    def independent(self) -> bool:
        """Whether every state was derived from the raw log alone."""
        return self.folded == 0 and self.compared > 0

    def pass_over(self, header: Header, reason: str) -> None:
        """Count a segment that cannot be compared."""
        self.in_range += header.next - header.base
        self._miss(header.next - header.base, reason)

    def _miss(self, offsets: int, reason: str) -> None:
        self.not_comparable[reason] = self.not_comparable.get(reason, 0) + offsets

    def take(self, header: Header, start: int, compared: Compared) -> None:
        """Count a segment that was compared from the offset `start` on."""
        if start > header.base:
            self._miss(start - header.base, RETENTION)
        self.in_range += header.next - header.base
        self.segments += 1
        self.compared += header.next - start
        self.records += compared.records
        self.erased += compared.erased
        self.only_archived_erased += compared.only_archived_erased
        if compared.difference is not None:
            self.differing += 1
            if len(self.differences) < _KEPT_DIFFERENCES:
                self.differences.append(compared.difference)

    def encode(self) -> bytes:
        """As bytes, to be gone on with."""
        return orjson.dumps(asdict(self))

    @classmethod
    def decode(cls, data: bytes) -> Tally:
        """The inverse of `encode`."""
        value: dict[str, Any] = orjson.loads(data)
        differences = [Difference(**item) for item in value.pop("differences")]
        return cls(**value, differences=differences)

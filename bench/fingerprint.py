"""Which event ids there were, in a few bytes: to compare what was due with what is archived."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import orjson

_WORD = 1 << 64


@dataclass(slots=True)
class Fingerprint:
    """A number of event ids and the sum of their hashes: equal for the same ids in any order.

    An id twice, or another in its place, changes it but for one case in 2**64.
    """

    count: int = 0
    total: int = 0

    def add(self, event_id: str) -> None:
        """One more."""
        self.count += 1
        digest = blake2b(event_id.encode(), digest_size=8).digest()
        self.total = (self.total + int.from_bytes(digest)) % _WORD

    def join(self, other: Fingerprint) -> None:
        """Those of another, too."""
        self.count += other.count
        self.total = (self.total + other.total) % _WORD


def of_archive(archive: Path) -> Fingerprint:
    """Of every record of every segment in a folder."""
    found = Fingerprint()
    for path in (archive / "segments").rglob("*.ndjson.gz"):
        with gzip.open(path) as segment:
            for line in segment.read().splitlines()[2:]:  # behind header and signature
                found.add(orjson.loads(line)["pub"]["audit_id"])
    return found

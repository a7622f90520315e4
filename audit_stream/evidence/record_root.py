"""The Merkle root over a segment's records: compiled where it could be built, else in Python."""

from __future__ import annotations

from collections.abc import Iterable

from audit_stream.evidence.tree import leaf_hash, root_hash

try:
    from audit_stream.evidence._compiled import record_root

    COMPILED = True
except ImportError:
    COMPILED = False

    def record_root(hashes: Iterable[bytes], /) -> bytes:
        """The root (RFC 9162 section 2.1) over records, from their 32-byte integrity hashes."""
        return plain_root(hashes)


def plain_root(hashes: Iterable[bytes]) -> bytes:
    """As `record_root`, in Python."""
    return root_hash([leaf_hash(each) for each in hashes])


__all__ = ["COMPILED", "plain_root", "record_root"]

"""What the judge of chaos computes by itself is what the format says."""

from __future__ import annotations

from hashlib import sha256

import pytest

from audit_stream.evidence.tree import root_hash
from tests.campaigns.chaos.archived import Segment, root_of


@pytest.mark.parametrize("size", range(35))
def test_a_tree_of_hashed_leaves_has_the_root_of_the_rfc(size: int) -> None:
    hashes = [sha256(b"\0%d" % number).digest() for number in range(size)]
    assert root_of(hashes) == root_hash(hashes)


def test_a_ledger_is_read_offset_by_offset() -> None:
    segment = Segment("name", {"base": 7, "ledger": "2ia3qx"}, [])
    assert list(segment.letters()) == list(zip(range(7, 14), "iiaqqqx", strict=True))

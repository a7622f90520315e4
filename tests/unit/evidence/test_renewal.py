"""Renewal: a later timestamp carries an earlier one past the end of its certificate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from audit_stream.evidence.anchor_line import AnchorLine, anchor_line
from audit_stream.evidence.checkpoint import Checkpoint
from audit_stream.evidence.log_names import anchor_name
from audit_stream.evidence.log_tree import Frontier, inclusion_proof
from audit_stream.evidence.renewal import Renewal, counts
from audit_stream.evidence.timestamp import Timestamp
from audit_stream.evidence.tree import leaf_hash

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)


def stamp(years: float, lasting: float = 2) -> Timestamp:
    time = BEGIN + years * YEAR
    return Timestamp(time=time, authority="CN=tsa", certificate_ends=time + lasting * YEAR)


OLD, FIRST = anchor_line(anchor_name(2, "a.tsr"), b"old"), stamp(0)
LEAVES = [b"x", b"y", OLD.line(), b"z", b"w"]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


def node_at(level: int, index: int) -> bytes:
    return Frontier().add(HASHES[index << level : (index + 1) << level]).root


def renewal(
    timestamp: Timestamp, index: int = 2, size: int = len(LEAVES), wrong: bool = False
) -> tuple[AnchorLine, Renewal]:
    root = b"\x00" * 32 if wrong else Frontier().add(HASHES[:size]).root
    found = Renewal(
        timestamp=timestamp, index=index, path=inclusion_proof(index, size, node_at),
        checkpoint=Checkpoint(origin="a", size=size, root=root),
    )  # fmt: skip
    return anchor_line(anchor_name(size, "b.tsr"), b"later"), found


def test_without_renewal_it_counts_until_the_certificate_ends() -> None:
    assert counts(OLD, FIRST, [], BEGIN + 2 * YEAR)
    assert not counts(OLD, FIRST, [], BEGIN + 2 * YEAR + timedelta(seconds=1))


def test_a_later_one_carries_it_on() -> None:
    assert counts(OLD, FIRST, [renewal(stamp(1.5))], BEGIN + 3.5 * YEAR)
    assert not counts(OLD, FIRST, [renewal(stamp(1.5))], BEGIN + 3.6 * YEAR)


def test_one_that_came_too_late_or_earlier_does_not() -> None:
    assert not counts(OLD, FIRST, [renewal(stamp(2.1))], BEGIN + YEAR)
    assert not counts(OLD, stamp(1), [renewal(stamp(0.5))], BEGIN + YEAR)


def test_it_must_be_a_leaf_of_that_checkpoint() -> None:
    late = BEGIN + 3 * YEAR
    assert not counts(OLD, FIRST, [renewal(stamp(1), index=3)], late)
    assert not counts(OLD, FIRST, [renewal(stamp(1), wrong=True)], late)
    other = anchor_line(OLD.name, b"another")
    assert not counts(other, FIRST, [renewal(stamp(1))], late)


def test_renewals_follow_one_another() -> None:
    own = anchor_line(anchor_name(3, "b.tsr"), b"second")
    HASHES.append(leaf_hash(own.line()))
    try:
        first = (own, renewal(stamp(1))[1])
        second = renewal(stamp(2.5), index=5, size=6)
        assert counts(OLD, FIRST, [first, second], BEGIN + 4.5 * YEAR)
        assert not counts(OLD, FIRST, [second], BEGIN + 4.5 * YEAR)
    finally:
        HASHES.pop()

"""Proofs from nodes equal those from all leaves; a frontier goes on as if it had them."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.evidence import tree
from audit_stream.evidence.log_tree import (
    Frontier,
    complete_nodes,
    consistency_proof,
    frontier_at,
    inclusion_proof,
    range_root,
)

LEAVES = [sha256(number.to_bytes(2, "big")).digest() for number in range(300)]


def node_at(level: int, index: int) -> bytes:
    start, end = index << level, (index + 1) << level
    assert end <= len(LEAVES), "a node that is not complete"
    return tree.root_hash(LEAVES[start:end])


@pytest.mark.parametrize("size", range(1, 131))
def test_every_inclusion_proof_is_that_of_the_whole_tree(size: int) -> None:
    for index in range(size):
        assert inclusion_proof(index, size, node_at) == tree.inclusion_path(LEAVES[:size], index)


@pytest.mark.parametrize("new", range(1, 131))
def test_every_consistency_proof_is_that_of_the_whole_tree(new: int) -> None:
    for old in range(1, new + 1):
        assert consistency_proof(old, new, node_at) == tree.consistency_path(LEAVES[:new], old)


@given(st.lists(st.integers(0, 40), max_size=7))
def test_a_frontier_has_the_root_however_it_grew(steps: list[int]) -> None:
    frontier = Frontier()
    for count in steps:
        frontier = frontier.add(LEAVES[frontier.size : frontier.size + count])
    assert frontier.root == tree.root_hash(LEAVES[: frontier.size])
    assert frontier == frontier_at(frontier.size, node_at)


@given(st.integers(0, 300), st.integers(0, 300))
def test_complete_nodes_tile_the_range(a: int, b: int) -> None:
    start, end = min(a, b), max(a, b)
    spans = [(i << level, (i + 1) << level) for level, i in complete_nodes(start, end)]
    at = start
    for left, right in spans:
        assert left == at
        at = right
    assert at == end


def test_nothing_has_the_empty_root() -> None:
    assert range_root(0, 0, node_at) == tree.EMPTY_ROOT == Frontier().root


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_there_is_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(IndexError):
        inclusion_proof(index, size, node_at)


@pytest.mark.parametrize(("old", "new"), [(0, 3), (4, 3)])
def test_there_is_no_consistency_with_nothing_or_the_future(old: int, new: int) -> None:
    with pytest.raises(IndexError):
        consistency_proof(old, new, node_at)

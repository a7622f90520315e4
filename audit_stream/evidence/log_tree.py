"""Proofs in a log too large to hold: from the hashes of complete subtrees.

A node (level, index) is the root of the complete subtree of 2^level leaves that begins at leaf
index * 2^level. Every hash of an RFC 9162 proof is one such node or a handful of them folded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from audit_stream.evidence.tree import EMPTY_ROOT, node_hash

#: Hash of the complete subtree at (level, index).
NodeAt = Callable[[int, int], bytes]


def complete_nodes(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The fewest complete subtrees that tile the leaves [start, end), from left to right."""
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        yield level, start >> level
        start += 1 << level


def range_root(start: int, end: int, node_at: NodeAt) -> bytes:
    """Root of the leaves [start, end), a subtree as RFC 9162 splits them."""
    if start == end:
        return EMPTY_ROOT
    return _fold([node_at(level, index) for level, index in complete_nodes(start, end)])


def _fold(nodes: Sequence[bytes]) -> bytes:
    root = nodes[-1]
    for node in reversed(nodes[:-1]):
        root = node_hash(node, root)
    return root


def inclusion_proof(index: int, size: int, node_at: NodeAt) -> list[bytes]:
    """The audit path of a leaf, from the leaf upwards (RFC 9162 section 2.1.3.1)."""
    if not 0 <= index < size:
        raise IndexError(f"leaf {index} of a log of {size}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_root(middle, end, node_at))
            end = middle
        else:
            path.append(range_root(start, middle, node_at))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, node_at: NodeAt) -> list[bytes]:
    """The proof that the log of `old` leaves is a prefix of that of `new` (section 2.1.4.1)."""
    if not 0 < old <= new:
        raise IndexError(f"old size {old} of a log of {new}")
    path: list[bytes] = []
    start, end = 0, new
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(range_root(middle, end, node_at))
            end = middle
        else:
            path.append(range_root(start, middle, node_at))
            start = middle
    if start:
        path.append(range_root(start, end, node_at))
    return path[::-1]


def _split(count: int) -> int:
    """The largest power of two below `count`, which is above 1."""
    return 1 << ((count - 1).bit_length() - 1)


@dataclass(frozen=True, slots=True)
class Frontier:
    """All that is needed to go on with a log: its size, and the roots of its complete subtrees."""

    size: int = 0
    nodes: tuple[bytes, ...] = ()  # largest first, one for each bit set in the size

    def add(self, leaves: Iterable[bytes]) -> Frontier:
        """With leaf hashes appended."""
        size, nodes = self.size, list(self.nodes)
        for leaf in leaves:
            node, rest = leaf, size
            while rest & 1:
                node, rest = node_hash(nodes.pop(), node), rest >> 1
            nodes.append(node)
            size += 1
        return Frontier(size, tuple(nodes))

    @property
    def root(self) -> bytes:
        """Root of the log."""
        return _fold(self.nodes) if self.nodes else EMPTY_ROOT


def frontier_at(size: int, node_at: NodeAt) -> Frontier:
    """The frontier of the first `size` leaves."""
    return Frontier(size, tuple(node_at(*node) for node in complete_nodes(0, size)))

"""A segment's record lines in groups of 64: where each ends, and its node in the segment's tree.

With them a record's path is made from its own group's leaves and the other groups' nodes, not from
every leaf. They are kept in the index and prove nothing: nodes that do not lead to the root in the
signed header are made anew from the lines.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from struct import Struct
from typing import Self

from audit_stream.evidence.tree import leaf_hash, levels_of, path_in, root_hash

HEIGHT = 6  # of a group's node in the tree: groups of 2^6 lines fill complete subtrees
_SIZE = 1 << HEIGHT
_GROUP = Struct(">I32s")
_HASH = slice(len('{"integrity_hash":"sha256:'), len('{"integrity_hash":"sha256:') + 64)


@dataclass(frozen=True)
class Groups:
    """The groups of one segment, in order."""

    ends: Sequence[int]  # bytes of the body up to the group's last newline
    nodes: Sequence[bytes]  # root over the group's leaves

    @classmethod
    def of(cls, lines: Sequence[bytes]) -> Self:
        """From record lines without their newlines. ValueError: a line has no integrity hash."""
        leaves = leaves_of(lines)
        ends = list(accumulate(len(line) + 1 for line in lines))
        starts = range(0, len(lines), _SIZE)
        return cls(
            [ends[min(start + _SIZE, len(lines)) - 1] for start in starts],
            [root_hash(leaves[start : start + _SIZE]) for start in starts],
        )

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """The inverse of `encode`."""
        pairs = list(_GROUP.iter_unpack(value))
        return cls([end for end, _ in pairs], [node for _, node in pairs])

    def encode(self) -> bytes:
        """The bytes in the index."""
        return b"".join(map(_GROUP.pack, self.ends, self.nodes))

    @cached_property
    def _levels(self) -> list[list[bytes]]:
        return levels_of(self.nodes)

    @property
    def root(self) -> bytes:
        """Of the whole tree."""
        return self._levels[-1][0]

    def range_of(self, index: int) -> tuple[int, int]:
        """Bytes of the body where the group of the record at `index` begins and ends. IndexError:
        there is no such record."""
        group = index >> HEIGHT
        return self.ends[group - 1] if group else 0, self.ends[group]

    def find(self, lines: bytes, index: int) -> tuple[bytes, list[bytes]]:
        """The record line at `index` and its path up to the root, from the lines of its group.
        ValueError, IndexError: they are not."""
        group, within = index >> HEIGHT, index & (_SIZE - 1)
        theirs = lines.split(b"\n")[:-1]
        below = path_in(levels_of(leaves_of(theirs)), within)
        return theirs[within], [*below, *path_in(self._levels, group)]


def leaves_of(lines: Sequence[bytes]) -> list[bytes]:
    """The leaf of each record line, by the integrity hash that it states."""
    return [leaf_hash(unhexlify(line[_HASH])) for line in lines]

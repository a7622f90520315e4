"""The key tree: a GGM puncturable PRF of depth 28 and arity 4 (formats.md section 5).

Goldreich-Goldwasser-Micali 1986; puncturing as in BurnBox (2018) and SafetyPin (2020). A *cover* is
the list of nodes from which every subject that was not erased can be derived: 40-byte entries
depth || prefix (7 bytes, zero-padded) || node (32 bytes), sorted by prefix. It is mapped, never
loaded: it grows by up to 83 entries an erasure.
"""

from __future__ import annotations

from collections.abc import Iterable

from audit_stream.errors import FormatError
from audit_stream.privacy.plain import ARITY, DEPTH
from audit_stream.privacy.primitives import walk
from audit_stream.privacy.wiping import wipe

TAG_BYTES = 16
PREFIX_BYTES = 7
ENTRY = 1 + PREFIX_BYTES + 32
#: Nodes down to this depth are kept: 87,000 of them, about 12 MB, and 8 of 28 hashes saved.
_KEPT_DEPTH = 8

#: Anything that slices like bytes: bytes, a memory map.
Buffer = bytes | memoryview


def child(node: bytes, digit: int) -> bytes:
    """SHA-256(00000001 || node || digit || "as-ggm1")."""
    return walk(node, digit, DEPTH - 1, DEPTH)


def path_of(tag: bytes) -> int:
    """A subject's path: the first 28 two-bit digits of its tag as a 56-bit integer."""
    return int.from_bytes(tag[:PREFIX_BYTES], "big")


def _digit(path: int, depth: int) -> int:
    """The digit that leads from `depth` to `depth` + 1."""
    return (path >> (2 * (DEPTH - 1 - depth))) & 3


def _place(path: int, depth: int) -> int:
    """A number for the node above `path` at `depth`; the leading 1 tells depths apart."""
    return (1 << 2 * depth) | (path >> 2 * (DEPTH - depth))


def _entry_key(path: int, depth: int) -> bytes:
    low = 2 * (DEPTH - depth)
    return bytes([depth]) + ((path >> low) << low).to_bytes(PREFIX_BYTES, "big")


def genesis_cover(root: bytes) -> bytes:
    """The cover of a tree nobody was erased from: its root."""
    return _entry_key(0, 0) + root


def check_cover(data: Buffer) -> None:
    """`FormatError` for what no cover can be."""
    if not len(data) or len(data) % ENTRY:
        raise FormatError(f"the cover file's length is not a multiple of {ENTRY}")


class Cover:
    """A sorted cover over a buffer; derives leaf keys and makes punctured covers."""

    __slots__ = ("_data", "_kept", "_size")

    def __init__(self, data: Buffer) -> None:
        check_cover(data)
        self._data = data
        self._size = len(data) // ENTRY
        self._kept: dict[int, bytes] = {}

    def __len__(self) -> int:
        return self._size

    def leaf(self, path: int) -> bytes | None:
        """The leaf key at `path`, or None when the subject was erased from this tree."""
        kept = self._kept.get(_place(path, _KEPT_DEPTH))
        return self._leaf_below(path) if kept is None else walk(kept, path, _KEPT_DEPTH, DEPTH)

    def _leaf_below(self, path: int) -> bytes | None:
        depth, node = _KEPT_DEPTH, None
        while depth and (node := self._kept.get(_place(path, depth))) is None:
            depth -= 1
        if node is None:
            found = self.find(path)
            if found is None:
                return None
            depth, node = found
        while depth < _KEPT_DEPTH:
            node = walk(node, path, depth, depth + 1)
            depth += 1
            self._kept[_place(path, depth)] = node
        return walk(node, path, depth, DEPTH)

    def wipe(self) -> None:
        """Overwrite the nodes it keeps, for what lies below them could be derived from them, and
        let go of the rest."""
        for node in self._kept.values():
            wipe(node)
        self._kept.clear()
        del self._data

    def find(self, path: int) -> tuple[int, bytes] | None:
        """The covering entry ``(depth, node)`` of `path`, or None."""
        index = self._covering(path)
        return None if index is None else (self._data[index * ENTRY], self._node(index))

    def _covering(self, path: int) -> int | None:
        """Entries cover disjoint ranges in the order of their prefixes, so only the last one that
        begins at or before the path can cover it."""
        low, high = 0, self._size
        while low < high:
            middle = (low + high) // 2
            if self._prefix(middle) <= path:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return None
        index = low - 1
        depth = self._data[index * ENTRY]
        spare = 2 * (DEPTH - depth)
        if depth > DEPTH or path >> spare != self._prefix(index) >> spare:
            return None
        return index

    def puncture(self, paths: Iterable[int]) -> bytes:
        """The cover's bytes without any of `paths`; a path already erased changes nothing.

        What an entry is replaced by lies in its range, so the rest is copied as it stands.
        """
        hit: dict[int, list[int]] = {}
        for path in paths:
            if (index := self._covering(path)) is not None:
                hit.setdefault(index, []).append(path)
        parts, done = [], 0
        for index in sorted(hit):
            entries = {self._key(index): self._node(index)}
            for path in hit[index]:
                _puncture(entries, path)
            order = sorted(entries, key=lambda key: (key[1:], key[0]))
            parts.append(bytes(self._data[done * ENTRY : index * ENTRY]))
            parts += [key + entries[key] for key in order]
            done = index + 1
        parts.append(bytes(self._data[done * ENTRY :]))
        if not (cover := b"".join(parts)):
            raise FormatError("puncturing would leave an empty cover")
        return cover

    def _key(self, index: int) -> bytes:
        return bytes(self._data[index * ENTRY : index * ENTRY + 1 + PREFIX_BYTES])

    def _prefix(self, index: int) -> int:
        start = index * ENTRY + 1
        return int.from_bytes(self._data[start : start + PREFIX_BYTES], "big")

    def _node(self, index: int) -> bytes:
        return bytes(self._data[index * ENTRY + 1 + PREFIX_BYTES : (index + 1) * ENTRY])


def _puncture(entries: dict[bytes, bytes], path: int) -> None:
    for depth in range(DEPTH + 1):
        node = entries.pop(_entry_key(path, depth), None)
        if node is not None:
            break
    else:
        return
    for level in range(depth, DEPTH):
        wanted = _digit(path, level)
        for digit in range(ARITY):
            if digit != wanted:
                shift = 2 * (DEPTH - 1 - level)
                sibling = ((path >> (shift + 2)) << 2 | digit) << shift
                entries[_entry_key(sibling, level + 1)] = child(node, digit)
        node = child(node, wanted)

"""Leaf hashes by name, of millions of objects: 48 bytes each."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from hashlib import sha256

_BYTES = 32


class Leaves:
    """What a log says of objects: added all before the first is asked for.

    Names are held by the first 64 bits of their SHA-256, which no two of an archive share.
    """

    def __init__(self) -> None:
        self._keys, self._hashes = array("Q"), bytearray()
        self._order: array[int] | None = None

    def add(self, name: str, leaf: bytes) -> None:
        """Of two leaves for one name the first counts."""
        self._keys.append(_key(name))
        self._hashes += leaf
        self._order = None

    def of(self, name: str) -> bytes | None:
        """The leaf hash of an object; None when none was added."""
        if self._order is None:
            self._order = array("Q", sorted(range(len(self._keys)), key=self._keys.__getitem__))
        key = _key(name)
        at = bisect_left(self._order, key, key=self._keys.__getitem__)
        if at == len(self._order) or self._keys[self._order[at]] != key:
            return None
        start = self._order[at] * _BYTES
        return bytes(self._hashes[start : start + _BYTES])


def _key(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big")

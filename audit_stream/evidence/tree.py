"""The Merkle tree of RFC 9162 section 2.1 with SHA-256: roots, inclusion and consistency.

Everything takes and gives 32-byte hashes; leaves are *leaf hashes*, never leaf data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from audit_stream.evidence.compiled import compiled

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(00 || data)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """Root over leaf hashes, level by level.

    Pairing neighbours and lifting a lone last node equals RFC 9162's split at the largest power of
    two, without recursion.
    """
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        parents = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(level[::2], level[1::2], strict=False)
        ]
        if len(level) & 1:
            parents.append(level[-1])
        level = parents
    return level[0]


def record_root(hashes: Iterable[bytes]) -> bytes:
    """Root over records, from their 32-byte integrity hashes: a leaf is the leaf hash of one."""
    joined = b"".join(hashes)
    if compiled is None or not joined:
        return record_root_plain(joined)
    root: bytes = compiled.record_root(joined)
    return root


def record_root_plain(joined: bytes) -> bytes:
    """`record_root` in Python, of hashes side by side."""
    items = [joined[at : at + 32] for at in range(0, len(joined), 32)]
    return root_hash([leaf_hash(item) for item in items])


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index`, from the leaf upwards (RFC 9162 section 2.1.3.1)."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of a tree of {len(leaves)}")
    return path_in(levels_of(leaves), index)


def levels_of(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Every level of the tree, from the leaves up to the one node that is the root."""
    levels = [list(leaves) or [EMPTY_ROOT]]
    while len(level := levels[-1]) > 1:
        parents = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) & 1:
            parents.append(level[-1])
        levels.append(parents)
    return levels


def path_in(levels: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    """`inclusion_path` in a tree whose levels are there."""
    siblings = ((level, (index >> height) ^ 1) for height, level in enumerate(levels))
    return [level[sibling] for level, sibling in siblings if sibling < len(level)]


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root an audit path leads to, or None when the path cannot fit (section 2.1.3.2)."""
    if not 0 <= index < size or len(leaf) != len(EMPTY_ROOT):
        return None
    fn, sn, root = index, size - 1, leaf
    for step in path:
        if sn == 0 or len(step) != len(EMPTY_ROOT):
            return None
        if fn & 1 or fn == sn:
            root = node_hash(step, root)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = node_hash(root, step)
        fn, sn = fn >> 1, sn >> 1
    return root if sn == 0 else None


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> bool:
    """Whether the path proves the leaf at `index` in the tree of `size` with `root`."""
    return root_from_inclusion(leaf, index, size, path) == root


def consistency_path(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """The proof that the tree of `old_size` is a prefix of this one (section 2.1.4.1)."""
    if not 0 < old_size <= len(leaves):
        raise IndexError(f"old size {old_size} of a tree of {len(leaves)}")
    return _subproof(leaves, old_size, whole=True)


def _subproof(leaves: Sequence[bytes], old_size: int, *, whole: bool) -> list[bytes]:
    if old_size == len(leaves):
        return [] if whole else [root_hash(leaves)]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if old_size <= split:
        return [*_subproof(leaves[:split], old_size, whole=whole), root_hash(leaves[split:])]
    rest = _subproof(leaves[split:], old_size - split, whole=False)
    return [*rest, root_hash(leaves[:split])]


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether `path` proves that the old tree is a prefix of the new one (section 2.1.4.2)."""
    if not 0 < old_size <= new_size:
        return False  # of an empty tree there is nothing to prove
    if old_size == new_size:
        return not path and old_root == new_root
    return _consistency_roots(old_size, new_size, old_root, path) == (old_root, new_root)


def _consistency_roots(
    old_size: int, new_size: int, old_root: bytes, path: Sequence[bytes]
) -> tuple[bytes, bytes] | None:
    steps = list(path)
    if old_size & (old_size - 1) == 0:
        steps.insert(0, old_root)
    if not steps or any(len(step) != len(EMPTY_ROOT) for step in steps):
        return None
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old, new = steps[0], steps[0]
    for step in steps[1:]:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            old, new = node_hash(step, old), node_hash(step, new)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            new = node_hash(new, step)
        fn, sn = fn >> 1, sn >> 1
    return (old, new) if sn == 0 else None

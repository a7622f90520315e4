"""Keyrings that something was done to: a person erased, another pair of hands."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from audit_stream.keys.file import load_cover, load_keyring
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.keytree import Cover, path_of

#: A tag of somebody, and the path of who is erased.
TAG = bytes(range(16))


def erase(path: Path, tag: bytes = TAG) -> Keyring:
    """Puncture the keyring's tree at a tag, its cover under the name it had: the next epoch."""
    ring = load_keyring(path).keyring
    [tree] = ring.trees
    cover = Cover(bytes(load_cover(path, tree))).puncture([path_of(tag)])
    (path.parent / tree.cover).write_bytes(cover)
    changed = replace(tree, cover_sha256=sha256(cover).hexdigest())
    return rewrite(path, replace(ring, epoch=ring.epoch + 1, trees=(changed,)))


def rewrite(path: Path, ring: Keyring) -> Keyring:
    """Put a keyring over the one at `path`."""
    path.write_bytes(ring.encode() + b"\n")
    return ring


def opens(path: Path, tag: bytes = TAG) -> bool:
    """Whether the keyring at `path` derives the tag's key."""
    return Cover(load_keyring(path).cover).leaf(path_of(tag)) is not None


def secrets_of(path: Path) -> list[bytes]:
    """Every secret of a keyring with one fresh tree."""
    loaded = load_keyring(path)
    ring = loaded.keyring
    signing = [key for key in (ring.log_key, ring.segment_key) if key is not None]
    nodes = [bytes(loaded.cover[at + 8 : at + 40]) for at in range(0, len(loaded.cover), 40)]
    return [ring.index_key, *signing, ring.trees[0].pepper, *ring.years.values(), *nodes]

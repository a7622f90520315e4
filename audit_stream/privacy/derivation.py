"""From a person to their keys in one tree of the keyring: tag, leaf, K (formats.md section 5).

`Derivation` is C where it could be built (`_derivation.c`), `PlainDerivation` the same in Python.
The two must agree byte for byte (tests/property/test_derivation.py).
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from audit_stream.evidence.canonical import canonical
from audit_stream.privacy.keytree import TAG_BYTES, Buffer, Cover, path_of

#: ``(tenant, kind, id)``, and of one who returned the number of the return.
Subject = tuple[str | int, ...]
_IPAD = bytes(byte ^ 0x36 for byte in range(256))
_OPAD = bytes(byte ^ 0x5C for byte in range(256))


class TagMaker:
    """HMAC-SHA256 under the pepper with both pads absorbed once: a third of the one-shot's time."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, pepper: bytes) -> None:
        block = pepper.ljust(64, b"\x00")
        self._inner = sha256(block.translate(_IPAD) + b"as/tag/v1\x00")
        self._outer = sha256(block.translate(_OPAD))

    def tag(self, subject: Subject) -> bytes:
        """The subject's 16-byte tag; it never goes into the archive."""
        inner = self._inner.copy()
        inner.update(canonical(list(subject)))
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()[:TAG_BYTES]


def derive(leaf: bytes, stream: bytes, tag: bytes, year_key: bytes) -> tuple[bytes, bytes]:
    """``(K_enc, K_mac)`` of a leaf key, the 16-byte stream id, the tag and the year key."""
    key = hmac.digest(leaf, b"as/subject/v1\x00" + stream + tag + year_key, "sha512")
    return key[:32], key[32:]


class PlainDerivation:
    """The keys of one stream's subjects: by the pepper and the cover of a tree."""

    def __init__(self, pepper: bytes, cover: Buffer, stream: bytes, /) -> None:
        self._tags, self._cover, self._stream = TagMaker(pepper), Cover(cover), stream

    def tag(self, subject: Subject, /) -> bytes:
        """As `TagMaker.tag`."""
        return self._tags.tag(subject)

    def keys(self, tag: bytes, year_key: bytes, /) -> tuple[bytes, bytes] | None:
        """``(K_enc, K_mac)`` of who has the tag, or None when they were erased from the tree."""
        leaf = self._cover.leaf(path_of(tag))
        return None if leaf is None else derive(leaf, self._stream, tag, year_key)

    def wipe(self) -> None:
        """Overwrite what it keeps, and let go of the cover: it derives nothing any more."""
        self._cover.wipe()
        del self._cover


try:
    from audit_stream.privacy._compiled import Derivation
except ImportError:
    Derivation = PlainDerivation  # type: ignore[assignment,misc]

__all__ = ["Derivation", "PlainDerivation", "Subject", "TagMaker", "derive"]

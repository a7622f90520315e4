"""`raw`: the MAC that makes every disposition checkable against the raw log (formats.md section 3).

HMAC-SHA256 under a key derived from the keyring's index key over, for each present offset,
u64be(offset) || u32be(length) || value; a null value has the length FFFFFFFF.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from struct import Struct

POSITION = Struct(">QI")
NULL_LENGTH = 0xFFFFFFFF


def raw_key(index_key: bytes) -> bytes:
    """The MAC key of every segment of an archive."""
    return hmac.digest(index_key, b"as/raw/v1\x00", "sha256")


def raw_frame(offset: int, value: bytes | None) -> bytes:
    """The bytes one present offset contributes."""
    if value is None:
        return POSITION.pack(offset, NULL_LENGTH)
    return POSITION.pack(offset, len(value)) + value


def new_raw_mac(key: bytes) -> hmac.HMAC:
    """A running MAC; feed it the frames of the present offsets in order."""
    return hmac.new(key, digestmod=sha256)

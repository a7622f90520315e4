"""Private objects: what links to persons, or must be rewritten, outside WORM and encrypted.

Byte 01, 12 random bytes, AES-256-GCM over a canonical JSON object, under a key derived from the
index key for the object's name, which is the associated data: as subject objects are (formats.md
section 3), so that no object can stand in for another.
"""

from __future__ import annotations

import hmac
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical, parse_line

FOLDER = "private/"
NONCE_BYTES = 12
_VERSION = b"\x01"


def _cipher(index_key: bytes, name: str) -> AESGCM:
    return AESGCM(hmac.digest(index_key, b"as/private/v1\x00" + name.encode("ascii"), "sha256"))


def seal_private(index_key: bytes, name: str, value: dict[str, Any], nonce: bytes) -> bytes:
    """The object's bytes. `nonce`: 12 fresh random bytes for every write, also a rewrite."""
    sealed = _cipher(index_key, name).encrypt(nonce, canonical(value), name.encode("ascii"))
    return _VERSION + nonce + sealed


def open_private(index_key: bytes, name: str, data: bytes) -> dict[str, Any]:
    """The value; `FormatError` when the bytes are not this name's object under this keyring."""
    head = len(_VERSION) + NONCE_BYTES
    if len(data) < head or not data.startswith(_VERSION):
        raise FormatError(f"{name} is not a private object of a known version")
    try:
        text = _cipher(index_key, name).decrypt(
            data[len(_VERSION) : head], data[head:], name.encode("ascii")
        )
    except InvalidTag as error:
        raise FormatError(f"{name} does not open with this keyring") from error
    return parse_line(text, name)

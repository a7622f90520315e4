"""Objects outside WORM that are encrypted each for its name.

Byte 01, 12 random bytes, AES-256-GCM under a key derived from the index key for the object's name,
which is the associated data (formats.md section 3): none can stand in for another.
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit_stream.errors import FormatError

NONCE_BYTES = 12
_VERSION = b"\x01"


def _cipher(index_key: bytes, label: bytes, name: str) -> AESGCM:
    return AESGCM(hmac.digest(index_key, label + b"\x00" + name.encode("ascii"), "sha256"))


def seal_named(index_key: bytes, label: bytes, name: str, text: bytes, nonce: bytes) -> bytes:
    """The object's bytes. `label`: of its kind; `nonce`: 12 fresh random bytes for every write."""
    sealed = _cipher(index_key, label, name).encrypt(nonce, text, name.encode("ascii"))
    return _VERSION + nonce + sealed


def open_named(index_key: bytes, label: bytes, name: str, data: bytes, kind: str) -> bytes:
    """What was sealed; `FormatError` when the bytes are not this name's `kind` of object under this
    keyring."""
    head = len(_VERSION) + NONCE_BYTES
    if len(data) < head or not data.startswith(_VERSION):
        raise FormatError(f"{name} is not a {kind} object of a known version")
    try:
        return _cipher(index_key, label, name).decrypt(
            data[len(_VERSION) : head], data[head:], name.encode("ascii")
        )
    except InvalidTag as error:
        raise FormatError(f"{name} does not open with this keyring") from error

"""The subject object: which subject each record of a segment belongs to, outside WORM (section 3).

Byte 01, 12 random bytes, AES-256-GCM over the 16-byte tags of the segment's records in order.
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit_stream.errors import FormatError
from audit_stream.privacy.keytree import TAG_BYTES

NONCE_BYTES = 12
_VERSION = b"\x01"
#: What stands in place of the tag of an erased subject.
NO_TAG = bytes(TAG_BYTES)


def _cipher(index_key: bytes, name: str) -> AESGCM:
    derived = hmac.digest(index_key, b"as/subjects/v1\x00" + name.encode("ascii"), "sha256")
    return AESGCM(derived)


def seal_tags(index_key: bytes, name: str, tags: bytes, nonce: bytes) -> bytes:
    """The object's bytes. `nonce`: 12 fresh random bytes for every write, also a rewrite."""
    sealed = _cipher(index_key, name).encrypt(nonce, tags, name.encode("ascii"))
    return _VERSION + nonce + sealed


def open_tags(index_key: bytes, name: str, data: bytes) -> list[bytes]:
    """The tags in order; `FormatError` when the bytes are not this name's object."""
    return split_tags(decrypt_tags(index_key, name, data))


def split_tags(joined: bytes) -> list[bytes]:
    """Tags one by one."""
    return [joined[i : i + TAG_BYTES] for i in range(0, len(joined), TAG_BYTES)]


def decrypt_tags(index_key: bytes, name: str, data: bytes) -> bytes:
    """As `open_tags`, one behind the other."""
    head = len(_VERSION) + NONCE_BYTES
    if len(data) < head or not data.startswith(_VERSION):
        raise FormatError(f"{name} is not a subject object of a known version")
    try:
        tags = _cipher(index_key, name).decrypt(
            data[len(_VERSION) : head], data[head:], name.encode("ascii")
        )
    except InvalidTag as error:
        raise FormatError(f"{name} does not open with this keyring") from error
    if len(tags) % TAG_BYTES:
        raise FormatError(f"{name} does not hold whole tags")
    return tags

"""The subject object: which subject each record of a segment belongs to, outside WORM (section 3).

Byte 01, 12 random bytes, AES-256-GCM over the 16-byte tags of the segment's records in order.
"""

from __future__ import annotations

from audit_stream.errors import FormatError
from audit_stream.privacy.keytree import TAG_BYTES
from audit_stream.privacy.named_object import open_named, seal_named

_LABEL = b"as/subjects/v1"
#: What stands in place of the tag of an erased subject.
NO_TAG = bytes(TAG_BYTES)


def seal_tags(index_key: bytes, name: str, tags: bytes, nonce: bytes) -> bytes:
    """The object's bytes. `nonce`: 12 fresh random bytes for every write, also a rewrite."""
    return seal_named(index_key, _LABEL, name, tags, nonce)


def open_tags(index_key: bytes, name: str, data: bytes) -> list[bytes]:
    """The tags in order; `FormatError` when the bytes are not this name's object."""
    return split_tags(decrypt_tags(index_key, name, data))


def split_tags(joined: bytes) -> list[bytes]:
    """Tags one by one."""
    return [joined[i : i + TAG_BYTES] for i in range(0, len(joined), TAG_BYTES)]


def decrypt_tags(index_key: bytes, name: str, data: bytes) -> bytes:
    """As `open_tags`, one behind the other."""
    tags = open_named(index_key, _LABEL, name, data, "subject")
    if len(tags) % TAG_BYTES:
        raise FormatError(f"{name} does not hold whole tags")
    return tags

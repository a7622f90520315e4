"""Private objects: what links to persons, or must be rewritten: canonical JSON, outside WORM."""

from __future__ import annotations

from typing import Any

from audit_stream.evidence.canonical import canonical, parse_line
from audit_stream.privacy.named_object import open_named, seal_named

FOLDER = "private/"
_LABEL = b"as/private/v1"


def seal_private(index_key: bytes, name: str, value: dict[str, Any], nonce: bytes) -> bytes:
    """The object's bytes. `nonce`: 12 fresh random bytes for every write, also a rewrite."""
    return seal_named(index_key, _LABEL, name, canonical(value), nonce)


def open_private(index_key: bytes, name: str, data: bytes) -> dict[str, Any]:
    """The value; `FormatError` when the bytes are not this name's object under this keyring."""
    return parse_line(open_named(index_key, _LABEL, name, data, "private"), name)

"""Ids as the index's rows have them: fixed in size, and nobody's without the keyring."""

from __future__ import annotations

import hmac
from hashlib import blake2b

ID_BYTES, TENANT_BYTES = 16, 8


class Ids:
    """Ids as the index has them, under a key derived from the keyring's index key."""

    def __init__(self, index_key: bytes) -> None:
        key = hmac.digest(index_key, b"as/index/v1\x00", "sha256")
        self._hash = blake2b(digest_size=ID_BYTES, key=key)
        self._tenants: dict[str, bytes] = {}

    def id(self, text: str) -> bytes:
        """16 bytes for a message id, carrier message id or archive name."""
        hashed = self._hash.copy()
        hashed.update(text.encode())
        return hashed.digest()

    def tenant(self, tenant: str) -> bytes:
        """8 bytes for a tenant of the archive: few, so they are kept."""
        found = self._tenants.get(tenant)
        if found is None:
            found = self._tenants[tenant] = self.id(tenant)[:TENANT_BYTES]
        return found

    def message(self, tenant: str, message: str) -> bytes:
        """The 24 bytes by which rows name a tenant's message."""
        return self.id(message) + self.id(tenant)[:TENANT_BYTES]

    def is_of(self, message: bytes, tenant: str) -> bool:
        """Whether what `message` gave is this tenant's."""
        return message.endswith(self.id(tenant)[:TENANT_BYTES])

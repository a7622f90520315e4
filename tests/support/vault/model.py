"""What a vault holds, and what it refuses. Times are Unix seconds.

Sources: "Keys" of the Key Vault REST API, 2025-07-01; "Soft-delete overview", Microsoft Learn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

DAY = 86_400
_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}").fullmatch
_OAEP = OAEP(MGF1(hashes.SHA256()), hashes.SHA256(), None)
#: What each identity may do; each is a data action of Azure's.
ROLES: dict[str, frozenset[str]] = {
    "worker": frozenset({"unwrap"}),
    "keeper": frozenset({"read", "create", "wrap", "unwrap", "delete", "purge"}),
    "no-purge": frozenset({"read", "create", "wrap", "unwrap", "delete"}),
    "owner": frozenset({"read", "create", "wrap", "unwrap", "delete", "purge", "recover",
                        "backup"}),
    "nobody": frozenset(),
}  # fmt: skip


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, message: str, inner: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.inner = status, code, message, inner


@cache
def _rsa(number: int, bits: int) -> RSAPrivateKey:
    """Real keys; the n-th of each vault is the same in all of them, since making one takes long."""
    return generate_private_key(65537, bits)


@dataclass
class Key:
    """A key with all its versions; deleted when `purge_at` is set."""

    name: str
    versions: dict[str, RSAPrivateKey]
    operations: list[str]
    tags: dict[str, str]
    enabled: bool = True
    deleted_at: int = 0
    purge_at: int = 0


@dataclass
class Vault:
    """One vault."""

    clock: int = 1_700_000_000
    soft_delete_days: int = 7
    purge_protection: bool = False
    #: So many looks at a deleted key say that it is not there yet, or still.
    slow: int = 0
    garbled: bool = False  # what is unwrapped is not what was wrapped
    keys: dict[str, Key] = field(default_factory=dict)
    deleted: dict[str, Key] = field(default_factory=dict)
    _made: int = 0
    _unseen: dict[str, int] = field(default_factory=dict)
    _still_seen: dict[str, Key] = field(default_factory=dict)

    @property
    def recovery_level(self) -> str:
        level = "Recoverable" if self.purge_protection else "Recoverable+Purgeable"
        return f"Customized{level}" if self.soft_delete_days < 90 else level

    def create(self, name: str, given: dict[str, Any]) -> tuple[Key, str]:
        """A key, or another version of the one there is."""
        self._expire()
        if not _NAME(name) or given.get("kty") != "RSA":
            raise Refused(400, "BadParameter", "The request URI contains an invalid name")
        if name.lower() in self.deleted:
            raise Refused(
                409, "Conflict", f"Key {name} is currently in a deleted but recoverable state, and "
                "its name cannot be reused; in this state, the key can only be recovered or "
                "purged.", "ObjectIsDeletedButRecoverable",
            )  # fmt: skip
        key = self.keys.setdefault(
            name.lower(), Key(name, {}, list(given["key_ops"]), dict(given.get("tags") or {}))
        )
        self._made += 1
        version = f"{self._made:032x}"
        key.versions[version] = _rsa(self._made, int(given["key_size"]))
        return key, version

    def get(self, name: str, version: str = "") -> tuple[Key, str]:
        self._expire()
        key = self.keys.get(name.lower())
        if key is None or (version and version not in key.versions):
            raise Refused(
                404, "KeyNotFound", f"A key with (name/id) {name} was not found in this key vault. "
                "If you recently deleted this key you may be able to recover it.",
            )  # fmt: skip
        return key, version or list(key.versions)[-1]

    def operate(self, name: str, version: str, operation: str, value: bytes) -> bytes:
        """Wrap or unwrap, RSA-OAEP-256."""
        key, version = self.get(name, version)
        if not key.enabled or operation not in key.operations:
            raise Refused(403, "Forbidden", "Operation is not allowed on this key.", "KeyDisabled")
        private = key.versions[version]
        try:
            if operation == "wrapKey":
                return private.public_key().encrypt(value, _OAEP)
            return private.decrypt(value, _OAEP)[:: -1 if self.garbled else 1]
        except ValueError:
            raise Refused(400, "BadParameter", "The parameter is incorrect.") from None

    def delete(self, name: str) -> Key:
        """All versions; there is no way to delete one."""
        key, _ = self.get(name)
        del self.keys[name.lower()]
        key.deleted_at, key.purge_at = self.clock, self.clock + self.soft_delete_days * DAY
        self.deleted[name.lower()] = key
        self._unseen[name.lower()] = self.slow
        return key

    def get_deleted(self, name: str) -> Key:
        self._expire()
        name = name.lower()
        if self._unseen.get(name, 0) > 0 and name in self.deleted:
            self._unseen[name] -= 1
        elif name in self.deleted:
            return self.deleted[name]
        elif self._unseen.get(name, 0) < 0:
            self._unseen[name] += 1
            return self._still_seen[name]
        raise Refused(404, "KeyNotFound", f"Deleted Key not found: {name}")

    def purge(self, name: str) -> None:
        key = self.get_deleted(name)
        if self.purge_protection:
            raise Refused(
                403, "Forbidden", 'Operation "purge" is not allowed because purge protection is '
                "enabled for this vault. Key Vault service will automatically purge it after the "
                "retention period has passed.",
            )  # fmt: skip
        del self.deleted[name.lower()]
        self._still_seen[name.lower()], self._unseen[name.lower()] = key, -self.slow

    def recover(self, name: str) -> Key:
        key = self.get_deleted(name)
        key.deleted_at = key.purge_at = 0
        self.keys[name.lower()] = self.deleted.pop(name.lower())
        return key

    def _expire(self) -> None:
        for name in [n for n, key in self.deleted.items() if key.purge_at <= self.clock]:
            del self.deleted[name]

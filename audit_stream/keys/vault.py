"""Covers wrapped by Azure Key Vault: a cover is sealed under a data key of its own, and that under
an RSA key of its epoch, which never leaves the vault.

Each epoch has a key of its own name: Key Vault deletes whole keys, never versions of one. What
destroys the key destroys every copy of the cover with it, on whatever disk or tape. So the key is
never backed up: Key Vault's key backup would bring it back.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar

from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.core.rest import HttpRequest
from azure.keyvault.keys import DeletedKey, KeyClient, KeyVaultKey

from audit_stream.errors import FormatError, KeyringError, VaultAway
from audit_stream.evidence.encoding import b64u, b64u_decode, time_text
from audit_stream.keys.vault_client import VaultAccess, is_missing, open_client, status_of
from audit_stream.keys.wrapping import (
    DATA_KEY_BYTES,
    NONCE_BYTES,
    Destruction,
    destroyed_now,
    header_of,
    is_wrapped,
    new_header,
    open_cover,
    seal_cover,
)
from audit_stream.privacy.keytree import Buffer

_ALGORITHM = "RSA-OAEP-256"
_OPERATIONS = ["wrapKey", "unwrapKey"]
_RSA_BITS = 3072
_PLAIN_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*").fullmatch
_LONGEST = 80  # of 127 characters that a key's name may have
_TOLD_APART = re.compile(r"(?:.*-)?[0-9a-f]{16}").fullmatch

Found = TypeVar("Found")


def key_name(archive: str, epoch: int) -> str:
    """The name of an epoch's key: letters, digits and hyphens, as Key Vault wants it, which does
    not tell upper from lower case. No two archives have the same."""
    name = archive
    if not _PLAIN_NAME(archive) or len(archive) > _LONGEST or _TOLD_APART(archive):
        readable = re.sub(r"[^a-z0-9]+", "-", archive.lower()).strip("-")[:_LONGEST]
        name = f"{readable}-{sha256(archive.encode()).hexdigest()[:16]}".strip("-")
    return f"as-tree-{name}-{epoch}"


class VaultCovers:
    """`CoverWrapper` of one archive over one vault."""

    def __init__(self, archive: str, access: VaultAccess) -> None:
        self._archive, self._access = archive, access

    def wrap(self, epoch: int, cover: Buffer, *, fresh: bool = False) -> bytes:
        """Sealed under a new data key; the epoch's key is made where there is none."""
        data_key, nonce = secrets.token_bytes(DATA_KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
        with open_client(self._access) as client:
            key = self._key_of(client, key_name(self._archive, epoch), fresh)
            wrapped = _operate(client, key, "wrapkey", data_key)
            header = new_header(self._archive, epoch, key, nonce, wrapped)
            self._check_place(header.archive, epoch, key)
            if not secrets.compare_digest(_operate(client, key, "unwrapkey", wrapped), data_key):
                raise KeyringError(f"{key} does not unwrap what it has wrapped")
        return seal_cover(header, data_key, cover)

    def unwrap(self, data: Buffer) -> memoryview:
        """The clear cover; the vault is asked for the data key. One that is clear is as it is."""
        if not is_wrapped(data):
            return memoryview(data)
        header = header_of(data)
        self._check_place(header.archive, header.epoch, header.key)
        wrapped = b64u_decode(header.wrapped, "data key")
        with open_client(self._access) as client:
            try:
                data_key = _operate(client, header.key, "unwrapkey", wrapped)
            except HttpResponseError as error:
                if is_missing(error):
                    raise _gone(header.key) from error
                raise
        return open_cover(data, data_key)

    def destroy(self, epoch: int, data: Buffer | None = None) -> Destruction:
        """Delete the epoch's key and purge it. Where that is not allowed, the vault does it on the
        day it has set."""
        if data is not None:
            if not is_wrapped(data):  # of a time before the vault
                return destroyed_now("file-unlinked")
            header = header_of(data)
            self._check_place(header.archive, epoch, header.key)
        name = key_name(self._archive, epoch)
        with open_client(self._access) as client:
            deleted = self._delete(client, name)
            until = None if deleted is None else deleted.scheduled_purge_date
            if until is None or self._purge(client, name):
                return destroyed_now("key-vault-purged")
        return Destruction("key-vault-scheduled", time_text(int(until.timestamp() * 1000)))

    def _delete(self, client: KeyClient, name: str) -> DeletedKey | None:
        """Delete, and see that it is deleted; None where nothing is left that could be purged."""
        begun = _found(lambda name: client.begin_delete_key(name).result(), name)
        if begun is not None and begun.scheduled_purge_date is None:
            return None  # a vault without soft delete
        found: list[DeletedKey] = []

        def look() -> bool:
            found.extend(filter(None, [_found(client.get_deleted_key, name)]))
            return bool(found)

        access = self._access
        if not _seen(look, access.settle_seconds if begun is None else access.patience_seconds):
            if begun is not None:
                raise _unfinished(name, "deleted")
            return None
        return found[0]

    def _purge(self, client: KeyClient, name: str) -> bool:
        """Purge, and see that it is gone; False where we may not, or nobody may in this vault."""
        try:
            client.purge_deleted_key(name)
        except HttpResponseError as error:
            if status_of(error) == 403:
                return False
            if not is_missing(error):
                raise
        gone = _seen(lambda: _found(client.get_deleted_key, name) is None,
                     self._access.patience_seconds)  # fmt: skip
        if not gone:
            raise _unfinished(name, "purged")
        return True

    def _key_of(self, client: KeyClient, name: str, fresh: bool) -> str:
        """URL of the epoch's key, with its version. A second version of it is never asked for: what
        an earlier attempt made is gone on with."""
        found = _found(client.get_key, name)
        if found is None:
            return _url(self._create(client, name))
        if fresh:
            raise KeyringError(
                f"the key vault has a key {name} already: another keyring's, or one from an "
                "attempt that broke off",
                hint="give each archive a name or a vault of its own; if nothing was ever wrapped "
                "by it, delete and purge the key",
            )
        return _url(found)

    def _create(self, client: KeyClient, name: str) -> KeyVaultKey:
        try:
            return client.create_rsa_key(
                name, size=_RSA_BITS, key_operations=list(_OPERATIONS), exportable=False,
                tags={"archive": self._archive},
            )  # fmt: skip
        except ResourceExistsError as error:  # 409: deleted, and not purged yet
            raise KeyringError(
                f"the key {name} was destroyed and its name is not free yet",
                hint="an epoch that was destroyed is not begun again: take the newest keyring",
            ) from error

    def _check_place(self, archive: str, epoch: int, key: str) -> None:
        """That a file sends us to our vault and to that epoch's key, and nowhere else."""
        if archive != self._archive:
            raise KeyringError(f"the wrapped cover is of the archive {archive}",
                               hint=f"AUDIT_ARCHIVE_NAME says {self._archive}")  # fmt: skip
        place = f"{self._access.url}/keys/{key_name(archive, epoch)}/"
        if not key.startswith(place) or not key.removeprefix(place).isalnum():
            raise KeyringError(
                f"the cover is wrapped by {key}, which is no key of epoch {epoch} in "
                f"{self._access.url}",
                hint="set AUDIT_KEYRING_VAULT to the vault it was wrapped in",
            )


def _operate(client: KeyClient, key: str, operation: str, value: bytes) -> bytes:
    """Have the vault wrap or unwrap. The SDK's own client would read the key first, which who may
    only unwrap is refused. REST: https://learn.microsoft.com/rest/api/keyvault/keys/unwrap-key"""
    path = "/" + key.partition("://")[2].partition("/")[2]
    body = {"alg": _ALGORITHM, "value": b64u(value)}
    answer = client.send_request(HttpRequest("POST", f"{path}/{operation}", json=body))
    answer.raise_for_status()
    try:
        return b64u_decode(answer.json()["value"], "the vault's answer")
    except (KeyError, TypeError, FormatError) as error:
        raise ValueError("no answer of a key vault") from error


def _found(ask: Callable[[str], Found], name: str) -> Found | None:
    """What the vault has under a name, None where it has nothing."""
    try:
        return ask(name)
    except HttpResponseError as error:
        if is_missing(error):
            return None
        raise


def _seen(look: Callable[[], bool], seconds: float) -> bool:
    """Whether something came to be seen in time."""
    end, pause = time.monotonic() + seconds, 0.1
    while not look():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 2.0)
    return True


def _url(key: KeyVaultKey) -> str:
    if key.id is None:
        raise ValueError("no answer of a key vault")
    return key.id


def _gone(key: str) -> KeyringError:
    return KeyringError(
        f"the key {key} is not in the vault (any more)",
        hint="its epoch was erased: take the newest keyring; or somebody deleted it: it can be "
        "recovered until the vault purges it (az keyvault key recover)",
    )


def _unfinished(name: str, doing: str) -> VaultAway:
    return VaultAway(f"the key {name} is still being {doing}", hint="try again later")

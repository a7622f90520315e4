"""The keyring as a file, its cover file beside it; both readable by their owner only."""

from __future__ import annotations

import mmap
import os
import secrets
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from audit_stream.errors import KeyringError
from audit_stream.evidence.signing import LineSigner
from audit_stream.privacy.keyring import Keyring, new_keyring, parse_keyring, secret_size

_PRIVATE = 0o600
_RESTORE = "restore it from its backup, or make one with `audit-stream keyring init`"


@dataclass(frozen=True, slots=True)
class LoadedKeyring:
    """A keyring with its newest tree's cover mapped."""

    keyring: Keyring
    cover: memoryview = field(repr=False)

    @property
    def signer(self) -> LineSigner:
        """The segment key; `KeyringError` in a view that has none."""
        if self.keyring.segment_key is None:
            raise KeyringError("this view of the keyring has no segment key")
        return LineSigner(self.keyring.segment_key)


def create_keyring(path: Path, archive: str) -> Keyring:
    """Make a keyring and its cover file; refuses to overwrite either."""
    if not archive or " " in archive or "+" in archive:
        raise KeyringError(f"the archive name {archive!r} may not be empty or hold a space or +")
    # From last year on: records that waited in the topics over the turn of a year have a key.
    ring, cover = new_keyring(
        archive, datetime.now(UTC).year - 1, secrets.token_bytes(secret_size())
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write_new(path.parent / ring.trees[-1].cover, cover)
    _write_new(path, ring.encode() + b"\n")
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return ring


def _write_new(path: Path, data: bytes) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    except FileExistsError:
        raise KeyringError(
            f"{path} exists and is not overwritten",
            hint="losing a keyring loses every personal field sealed under it; move it by hand",
        ) from None
    except OSError as error:
        raise KeyringError(f"cannot write {path}: {error.strerror}") from error
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(handle)


def load_keyring(path: Path) -> LoadedKeyring:
    """Read, check and map; `KeyringError` names the file and what to do."""
    ring = parse_keyring(_read_private(path))
    tree = max(ring.trees, key=lambda item: item.first_epoch)
    cover = _map(path.parent / tree.cover)
    if sha256(cover).hexdigest() != tree.cover_sha256:
        raise KeyringError(f"{path.parent / tree.cover} is not the cover of this keyring",
                           hint=_RESTORE)  # fmt: skip
    return LoadedKeyring(ring, cover)


def _read_private(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except OSError as error:
        raise KeyringError(
            f"cannot read the keyring {path}: {error.strerror}", hint=_RESTORE
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise KeyringError(f"the keyring {path} can be read by others", hint=f"chmod 600 {path}")
    return data


def _map(path: Path) -> memoryview:
    try:
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise KeyringError(f"cannot map the cover file {path}", hint=_RESTORE) from error

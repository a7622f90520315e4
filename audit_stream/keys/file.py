"""The keyring as a file, its cover file beside it; both readable by their owner only."""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from audit_stream import durable
from audit_stream.errors import FormatError, KeyringError
from audit_stream.evidence.note import NoteKey, NoteSigner
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.keys.modes import is_open_to_others, is_writable_by_others
from audit_stream.keys.public import FILE as PUBLIC
from audit_stream.keys.public import PublicKeys, parse_public
from audit_stream.keys.wrapping import LOCAL, CoverWrapper
from audit_stream.privacy.keyring import (
    KEY_BYTES,
    Keyring,
    Tree,
    new_keyring,
    parse_keyring,
    secret_size,
)

_PRIVATE, _FOLDER = 0o600, 0o700
_CHUNK = 1 << 20
_RESTORE = "restore it from its backup (`keyring restore`); `keyring init` is for a new archive"


@dataclass(frozen=True, slots=True)
class LoadedKeyring:
    """A keyring with its newest tree's cover mapped."""

    keyring: Keyring
    cover: memoryview = field(repr=False)
    public: PublicKeys | None = None  # what stands beside it: the keys of views, retired keys

    @property
    def signer(self) -> LineSigner:
        """The segment key; `KeyringError` in a view that has none."""
        return _signer(self.keyring)

    @property
    def trusted(self) -> TrustedKeys:
        """What to trust of an archive made with this keyring: its own public key, and those beside
        it, which sealed before it or will after."""
        beside = () if self.public is None else self.public.segments
        if beside and self.keyring.segment_key is None:
            return TrustedKeys(*beside)
        return TrustedKeys(public_key(self.keyring), *beside)

    @property
    def log_key(self) -> NoteKey:
        """The public key of the archive log's checkpoints."""
        if self.keyring.log_key is None and self.public is not None:
            return self.public.log
        return log_signer(self.keyring).key

    @property
    def publics(self) -> PublicKeys:
        """What a view of another role must be given."""
        return PublicKeys(segments=tuple(self.trusted.publics), log=self.log_key)


def create_keyring(path: Path, archive: str, covers: CoverWrapper = LOCAL) -> Keyring:
    """Make a keyring and its cover file beside it; `KeyringError` rather than overwrite either, or
    take the key of another's cover."""
    # From last year on: records that waited in the topics over the turn of a year have a key.
    ring, cover = new_keyring(
        archive, datetime.now(UTC).year - 1, secrets.token_bytes(secret_size())
    )
    cover_path = path.parent / ring.trees[-1].cover
    for there in filter(Path.exists, (path, cover_path)):  # both first: leave no cover alone
        raise _exists(there)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_new(cover_path, covers.wrap(ring.epoch, cover, fresh=True))
        write_new(path, ring.encode() + b"\n")
        durable.sync_folder(path.parent)
    except OSError as error:
        raise KeyringError(
            f"cannot make the keyring {path}: {error.strerror}",
            hint="name a path this user may write with --path or AUDIT_KEYRING",
        ) from error
    return ring


def public_key(keyring: Keyring) -> bytes:
    """The 32 raw bytes that verify the archive; `KeyringError` in a view without segment key."""
    return _signer(keyring).public


def _signer(keyring: Keyring) -> LineSigner:
    if keyring.segment_key is None:
        raise KeyringError("this view of the keyring has no segment key")
    return LineSigner(keyring.segment_key)


def log_signer(keyring: Keyring) -> NoteSigner:
    """The key that signs checkpoints; `KeyringError` in a view that has none."""
    if keyring.log_key is None:
        raise KeyringError(
            "this view of the keyring has no log key", hint="give the notary the notary's view"
        )
    return NoteSigner(keyring.archive, keyring.log_key)


def _exists(path: Path) -> KeyringError:
    return KeyringError(
        f"{path} exists and is not overwritten",
        hint="losing a keyring loses every personal field sealed under it; move it by hand",
    )


def write_new(path: Path, data: bytes) -> None:
    """Write and sync a new file for its owner only; `KeyringError` rather than overwrite."""
    try:
        durable.write_new(path, data)
    except FileExistsError:
        raise _exists(path) from None


def load_keyring(path: Path, covers: CoverWrapper = LOCAL) -> LoadedKeyring:
    """Read, check and map; `KeyringError` names the file and what to do."""
    ring = parse_keyring(read_private(path))
    newest = max(ring.trees, key=lambda item: item.first_epoch)
    return LoadedKeyring(ring, load_cover(path, newest, covers), _public(path, ring))


def load_closed(path: Path) -> LoadedKeyring:
    """The same without the cover, for who opens no person: no vault is asked, and none missed."""
    ring = parse_keyring(read_private(path))
    return LoadedKeyring(ring, memoryview(b""), _public(path, ring))


def read_keyring(path: Path) -> Keyring:
    """The keyring alone, whoever may open its file: to tell what is wrong, never to use it."""
    try:
        return parse_keyring(path.read_bytes())
    except OSError as error:
        raise _unreadable(path, error) from error


def _public(keyring_path: Path, ring: Keyring) -> PublicKeys | None:
    path = keyring_path.parent / PUBLIC
    try:
        with path.open("rb") as file:
            _refuse_writable(file, path)
            public = parse_public(file.read().decode("ascii"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, FormatError) as error:
        raise KeyringError(f"{path} cannot be used: {error}", hint=_RESTORE) from error
    if public.log.name != ring.archive or (
        ring.log_key is not None and public.log != log_signer(ring).key
    ):
        raise KeyringError(
            f"{path} is of another archive or log key than the keyring", hint=_RESTORE
        )
    return public


#: Role -> the keys its view of the keyring does not hold.
ROLES: Mapping[str, tuple[str, ...]] = {
    "worker": ("log_key",),
    "notary": ("segment_key",),
    "gateway": ("log_key", "segment_key"),
}
WHOLE = "whole"
#: The keys that sign: what a view may lack.
SIGNING = ("log_key", "segment_key")


def role_of(ring: Keyring) -> str:
    """Whose view a keyring is by the keys it has; `whole` if it has all."""
    lacking = tuple(name for name in SIGNING if getattr(ring, name) is None)
    return next((role for role, keys in ROLES.items() if keys == lacking), WHOLE)


def write_view(
    ring: LoadedKeyring, path: Path, role: str, folder: Path, covers: CoverWrapper = LOCAL
) -> None:
    """What a role may hold of the keyring at `path`, as files in a new folder: keyring, covers and
    public keys. `KeyringError` rather than overwrite."""
    lacking: dict[str, Any] = dict.fromkeys(ROLES[role])
    _write_folder(replace(ring.keyring, **lacking), ring.publics, path, folder, covers)


def write_successor(
    ring: LoadedKeyring, path: Path, folder: Path, covers: CoverWrapper = LOCAL
) -> bytes:
    """The keyring at `path` with a new segment key, as files in a new folder; the key's public
    half. Both keys stand in `public.txt`: whoever trusts it reads what either has signed.
    `KeyringError` rather than overwrite."""
    old = ring.publics
    _ = ring.signer  # a view has nothing to be succeeded
    secret = secrets.token_bytes(KEY_BYTES)
    new = LineSigner(secret).public
    publics = replace(old, segments=(*old.segments, new))
    _write_folder(replace(ring.keyring, segment_key=secret), publics, path, folder, covers)
    return new


def _write_folder(
    ring: Keyring, publics: PublicKeys, path: Path, folder: Path, covers: CoverWrapper
) -> None:
    """As files of a new folder: covers, as they lie, and public keys first, so that no keyring
    lacks them."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER)
        for tree in ring.trees:
            write_new(folder / tree.cover, bytes(checked_file(path, tree, covers)))
        write_new(folder / PUBLIC, publics.encode().encode())
        write_new(folder / path.name, ring.encode() + b"\n")
        durable.sync_folder(folder)
    except OSError as error:
        raise KeyringError(f"cannot write the keyring to {folder}: {error.strerror}") from error


def load_cover(keyring_path: Path, tree: Tree, covers: CoverWrapper = LOCAL) -> memoryview:
    """The clear cover of one of the keyring's trees: a map of its file, or in memory alone where
    it is wrapped. `KeyringError` names the file; `VaultAway`."""
    return _open(keyring_path, tree, covers)[1]


def checked_file(keyring_path: Path, tree: Tree, covers: CoverWrapper = LOCAL) -> memoryview:
    """The file of one of the keyring's covers as it lies, after it was opened. Raises the same."""
    return _open(keyring_path, tree, covers)[0]


def _open(keyring_path: Path, tree: Tree, covers: CoverWrapper) -> tuple[memoryview, memoryview]:
    """(the file as it lies, the clear cover)."""
    path = keyring_path.parent / tree.cover
    file = map_private(path)
    try:
        cover = covers.unwrap(file)
    except KeyringError as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from error
    if _hash(cover) != tree.cover_sha256:
        raise KeyringError(f"{path} is not the cover of this keyring", hint=_RESTORE)
    return file, cover


def _hash(cover: memoryview) -> str:
    """SHA-256, hex. Of a mapped cover hardly a page stays in memory for having been read."""
    digest, mapped = sha256(), cover.obj if isinstance(cover.obj, mmap.mmap) else None
    for at in range(0, len(cover), _CHUNK):
        part = cover[at : at + _CHUNK]
        digest.update(part)
        if mapped is not None:
            mapped.madvise(mmap.MADV_DONTNEED, at, len(part))
    return digest.hexdigest()


def read_private(path: Path, what: str = "keyring", hint: str = _RESTORE) -> bytes:
    """A file that its owner alone may open; `KeyringError`."""
    try:
        with path.open("rb") as file:
            _refuse_shared(file, path)
            return file.read()
    except OSError as error:
        raise _unreadable(path, error, what, hint) from error


def _unreadable(
    path: Path, error: OSError, what: str = "keyring", hint: str = _RESTORE
) -> KeyringError:  # fmt: skip
    return KeyringError(f"cannot read the {what} {path}: {error.strerror}", hint=hint)


def map_private(path: Path) -> memoryview:
    """A cover file as it lies, which its owner alone may open; `KeyringError`."""
    try:
        with path.open("rb") as file:
            _refuse_shared(file, path)
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:  # ValueError: an empty file has nothing to map
        raise KeyringError(f"cannot map the cover file {path}", hint=_RESTORE) from error


def _refuse_shared(file: BinaryIO, path: Path) -> None:
    if is_open_to_others(os.fstat(file.fileno())):
        raise KeyringError(f"{path} is open to others than its owner", hint=f"chmod 600 {path}")


def _refuse_writable(file: BinaryIO, path: Path) -> None:
    """No secret, but whoever adds a line to it is believed."""
    if is_writable_by_others(os.fstat(file.fileno())):
        raise KeyringError(f"{path} can be written by others", hint=f"chmod go-w {path}")

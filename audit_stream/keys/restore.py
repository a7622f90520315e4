"""Putting a backup in place: at every moment the folder holds a keyring and the covers it names.

Everything is written and synced under other names first. Covers are renamed before the keyring, and
never over another cover: one whose name is taken by other bytes is named by its hash. What the old
keyring alone named goes last: it can open who was erased since. A cover that is in clear in the
backup is wrapped before it is written, where covers are. No run of erasures is at work meanwhile:
it would remove the covers that the keyring does not name yet.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from audit_stream.durable import sync_folder
from audit_stream.errors import FormatError, KeyringError
from audit_stream.keys.backup import Backup
from audit_stream.keys.epochs import RESTORING, left_restoring
from audit_stream.keys.file import SIGNING, load_closed, load_cover, write_new
from audit_stream.keys.lock import RUN_FILE, keyring_lock
from audit_stream.keys.public import FILE as PUBLIC
from audit_stream.keys.public import PublicKeys, parse_public
from audit_stream.keys.wrapping import LOCAL, CoverWrapper, is_wrapped
from audit_stream.privacy.keyring import Keyring, parse_keyring

_ASIDE = "if the backup is right, move the keyring and its cover files away by hand first"


def restore(backup: Backup, path: Path, covers: CoverWrapper = LOCAL) -> Keyring:
    """Make the backup the keyring at `path`; what stands there now. `KeyringError` when what stands
    there is newer, of another archive, or has keys that would be lost, when a cover of the backup
    cannot be opened, and while an erasure is at work."""
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _cannot(folder, error) from error
    with keyring_lock(path, wait=0.0, name=RUN_FILE), keyring_lock(path):
        return _restore(backup, path, covers)


def _restore(backup: Backup, path: Path, covers: CoverWrapper) -> Keyring:
    before = _standing(path)
    old = None if before is None else parse_keyring(before)
    if old is not None:
        check_replaces(old, backup.keyring, path)
    folder = path.parent
    _check_opens(backup, covers)
    ring, files = _placed(backup, folder, covers)
    try:
        for left in left_restoring(folder):  # by one that was cut short
            left.unlink()
        _write(ring, files, path, before)
        for name in {tree.cover for tree in old.trees} - files.keys() if old else ():
            (folder / name).unlink(missing_ok=True)
        sync_folder(folder)
    except OSError as error:
        raise _cannot(folder, error) from error
    finally:
        for name in (path.name, *files):
            _beside(folder / name).unlink(missing_ok=True)
    _check(path, ring, covers)
    return ring


def _write(ring: Keyring, files: Mapping[str, bytes], path: Path, before: bytes | None) -> None:
    """The keyring last, over what it was judged to replace and nothing else."""
    everything = {**files, path.name: ring.encode() + b"\n"}
    for name, data in everything.items():
        write_new(_beside(path.with_name(name)), data)
    for name in files:
        _beside(path.with_name(name)).replace(path.with_name(name))
    sync_folder(path.parent)
    if _standing(path) != before:
        raise KeyringError(f"{path} was changed meanwhile: nothing was restored")
    _beside(path).replace(path)
    sync_folder(path.parent)


def _cannot(folder: Path, error: OSError) -> KeyringError:
    return KeyringError(f"cannot restore to {folder}: {error.strerror}")


def check_replaces(old: Keyring, new: Keyring, path: Path) -> None:
    """`KeyringError` unless `new` may take the place of `old`: nothing that counts is lost, and no
    erased person comes back."""
    if old.archive != new.archive or not hmac.compare_digest(old.index_key, new.index_key):
        raise KeyringError(
            f"the keyring at {path} is of another archive, {old.archive}, or was made anew for it",
            hint="restore to another path; an archive's keyring is never made a second time",
        )
    if old.epoch > new.epoch:
        raise KeyringError(
            f"the keyring at {path} has the epoch {old.epoch}, the backup {new.epoch}: it would "
            "bring back who was erased since",
            hint="keep the keyring in place; back it up, and destroy this backup",
        )
    if old.epoch == new.epoch and not _same(old, new):
        raise KeyringError(
            f"the keyring at {path} has the backup's epoch and other keys: neither is known to be "
            "the newer one",
            hint=f"keep the one with the newer signing key; {_ASIDE}",
        )
    for name in SIGNING:
        kept, restored = getattr(old, name), getattr(new, name)
        if kept is not None and (restored is None or not hmac.compare_digest(kept, restored)):
            raise KeyringError(
                f"the keyring at {path} has a {name} that the backup lacks", hint=_ASIDE
            )


def _same(old: Keyring, new: Keyring) -> bool:
    """Whether two keyrings have the same keys, whatever their cover files are named."""
    one, other = (
        replace(ring, trees=tuple(replace(tree, cover="c") for tree in ring.trees)).encode()
        for ring in (old, new)
    )
    return hmac.compare_digest(one, other)


def _check_opens(backup: Backup, covers: CoverWrapper) -> None:
    """Before anything is touched: a wrapped cover whose key is gone takes no other's place."""
    for tree in backup.keyring.trees:
        if sha256(covers.unwrap(backup.covers[tree.cover])).hexdigest() != tree.cover_sha256:
            raise KeyringError(f"{tree.cover} in the backup is not the cover of its keyring",
                               hint="take another copy of the backup")  # fmt: skip


def _placed(backup: Backup, folder: Path, covers: CoverWrapper) -> tuple[Keyring, dict[str, bytes]]:
    """The keyring with names of covers that are free in the folder, and the files beside it."""
    trees, files = [], dict[str, bytes]()
    for tree in backup.keyring.trees:
        data, name = backup.covers[tree.cover], tree.cover
        if not is_wrapped(data):
            data = covers.wrap(backup.keyring.epoch, data)
        if _standing(folder / name) not in {None, data}:
            name = f"cover-{sha256(data).hexdigest()[:16]}.bin"
        trees.append(replace(tree, cover=name))
        files[name] = data
    if (public := _joined(backup, folder)) is not None:
        files[PUBLIC] = public.encode().encode()
    return replace(backup.keyring, trees=tuple(trees)), files


def _joined(backup: Backup, folder: Path) -> PublicKeys | None:
    """The public keys to stand beside it: those that stand there are trusted on, since a successor
    may have come after the backup."""
    there = _standing(folder / PUBLIC)
    if backup.public is None or there is None:
        return backup.public
    try:
        beside = parse_public(there.decode("ascii", "replace"))
    except FormatError as error:
        raise KeyringError(f"{folder / PUBLIC} cannot be used: {error.message}",
                           hint="move it away first") from error  # fmt: skip
    return replace(
        beside, segments=tuple(dict.fromkeys((*backup.public.segments, *beside.segments)))
    )


def _standing(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyringError(f"cannot read {path}: {error.strerror}") from error


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}{RESTORING}")


def _check(path: Path, ring: Keyring, covers: CoverWrapper) -> None:
    if load_closed(path).keyring != ring:
        raise KeyringError(f"what stands at {path} now is not what was restored")
    for tree in ring.trees:
        load_cover(path, tree, covers)

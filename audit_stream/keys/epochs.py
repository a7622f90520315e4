"""Moving a keyring to its next epoch: covers punctured, the file swapped, views brought up to it.

Every function is for whoever holds the keyring's lock (`keys.lock`), may be cut off at any moment
and called again: covers are written before the keyring that names them, and the keyring is swapped
only for the one it was made from.
"""

from __future__ import annotations

import hmac
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from audit_stream import durable
from audit_stream.errors import FormatError, KeyringError, UnknownVersion
from audit_stream.keys.file import ROLES, load_cover, read_private, role_of, write_new
from audit_stream.keys.wrapping import (
    LOCAL,
    CoverWrapper,
    Destruction,
    DestructionKind,
    is_wrapped,
    read_header,
)
from audit_stream.privacy.keyring import Keyring, Tree, parse_keyring
from audit_stream.privacy.keytree import Cover

#: From what says most of a destruction to what says least.
_KINDS: tuple[DestructionKind, ...] = ("key-vault-purged", "key-vault-scheduled", "file-unlinked")
#: Ends the name of what `keys.restore` writes before it puts it in place.
RESTORING = ".restoring"
#: The paths to puncture in a tree.
PathsOf = Callable[[Tree], Iterable[int]]


def read_master(path: Path) -> Keyring:
    """The whole keyring at `path`; `KeyringError` for a view, which must not be moved on."""
    ring = parse_keyring(read_private(path))
    if ring.segment_key is None or ring.log_key is None:
        raise KeyringError(
            f"{path} is the view of a {role_of(ring)}", hint="erasing takes the whole keyring"
        )
    return ring


def replace_keyring(path: Path, old: Keyring, new: Keyring) -> None:
    """Swap the file's keyring; `KeyringError` when it is not `old` any more. For who holds the lock
    of its folder: what a swap left that was cut off has all keys of then, and goes."""
    _check_standing(path, old)
    try:
        durable.put_in_place(path, new.encode() + b"\n")
        for each in durable.left_behind(path):
            each.unlink(missing_ok=True)
        durable.sync_folder(path.parent)
    except OSError as error:
        raise KeyringError(f"cannot write {path}: {error.strerror}") from error


def _check_standing(path: Path, ring: Keyring) -> None:
    if not hmac.compare_digest(read_private(path).rstrip(b"\n"), ring.encode()):
        raise KeyringError(f"{path} was changed meanwhile", hint="try again")


def advance(
    path: Path, old: Keyring, paths_of: PathsOf,
    returned: Mapping[bytes, tuple[int, ...]] | None = None, covers: CoverWrapper = LOCAL,
) -> Keyring:  # fmt: skip
    """The keyring of the next epoch, in place at `path`, its covers without those paths.

    The old covers still lie beside it: `destroy_keys` and `destroy_strays` are for when nobody may
    need them.
    """
    _check_standing(path, old)  # first: the next cover may be named by what stands there
    epoch = old.epoch + 1
    trees = tuple(_punctured(path, tree, epoch, paths_of(tree), covers) for tree in old.trees)
    new = replace(old, epoch=epoch, trees=trees,
                  returned=old.returned if returned is None else returned)  # fmt: skip
    replace_keyring(path, old, new)
    return new


def _punctured(
    path: Path, tree: Tree, epoch: int, paths: Iterable[int], covers: CoverWrapper
) -> Tree:
    """Every tree, also one without a path to puncture: the old epoch's key opens none any more."""
    cover = Cover(load_cover(path, tree, covers)).puncture(paths)
    name = f"cover-{tree.first_epoch}-{epoch}.bin"
    _write_cover(path.with_name(name), covers.wrap(epoch, cover))
    return replace(tree, cover=name, cover_sha256=sha256(cover).hexdigest())


def _write_cover(path: Path, data: bytes) -> None:
    """A cover that no keyring names yet: what a try that was cut off left there is in the way."""
    try:
        path.unlink(missing_ok=True)
        write_new(path, data)
        durable.sync_folder(path.parent)
    except OSError as error:
        raise KeyringError(f"cannot write the cover {path}: {error.strerror}") from error


def bring_up(path: Path, view: Path) -> Keyring:
    """Make the view at `view` that of the keyring at `path`, what it must not hold left out, and
    remove the covers it no longer names; what stands there now."""
    ring = parse_keyring(read_private(path))
    before = parse_keyring(read_private(view))
    if before.archive != ring.archive:
        raise KeyringError(f"{view} is of the archive {before.archive}")
    lacking: dict[str, Any] = dict.fromkeys(ROLES.get(role_of(before), ()))
    after = replace(ring, **lacking)
    if before.encode() != after.encode():
        if before.epoch > after.epoch:
            raise KeyringError(f"{view} has the epoch {before.epoch}, beyond {after.epoch}")
        for tree in after.trees:
            _copy_cover(path, view, tree)
        replace_keyring(view, before, after)
    destroy_strays(view)
    return after


def _copy_cover(path: Path, view: Path, tree: Tree) -> None:
    """As it is stored, wrapped or not."""
    there = view.with_name(tree.cover)
    data = read_private(path.with_name(tree.cover), "cover")
    if not there.exists() or read_private(there, "cover") != data:
        _write_cover(there, data)


def destroy_keys(path: Path, epoch: int, covers: CoverWrapper) -> Destruction:
    """Destroy what opens covers of up to that epoch, wherever copies of them are: how that went,
    by what says least, and when all of it is gone. `KeyringError`; `VaultAway`.

    Told by the covers beside the keyring at `path` that it does not name, so the call comes before
    `destroy_strays`. Whoever was brought back has left one of an epoch before, too.
    """
    ring, wrapped, clear = parse_keyring(read_private(path)), dict[int, bytes](), list[bytes]()
    if epoch >= ring.epoch:
        raise KeyringError(f"the keys of epoch {epoch} are in force and are not destroyed")
    for stray in _strays(path, ring):
        data = read_private(stray, "cover")
        if not is_wrapped(data):
            clear.append(data)
        elif (of := _epoch_of(data)) <= epoch:
            wrapped[of] = data
    done = [covers.destroy(of, wrapped[of]) for of in sorted(wrapped)]
    if epoch not in wrapped:
        done.append(covers.destroy(epoch))  # its file went in a run that was cut off
    done += [covers.destroy(epoch, data) for data in clear]
    return Destruction(
        max((each.kind for each in done), key=_KINDS.index), max(each.effective_at for each in done)
    )


def _epoch_of(data: bytes) -> int:
    """Of a wrapped cover; one that was cut off is nobody's. `UnknownVersion`."""
    try:
        return read_header(data)[0].epoch
    except UnknownVersion:
        raise
    except FormatError:
        return sys.maxsize


def _strays(path: Path, ring: Keyring) -> list[Path]:
    named = {tree.cover for tree in ring.trees}
    covers = [each for each in path.parent.glob("cover-*.bin") if each.name not in named]
    return sorted([*covers, *path.parent.glob(f".cover-*.bin{RESTORING}")])


def left_restoring(folder: Path) -> list[Path]:
    """What a `keys.restore` left that was cut off, or is just going to put in place: covers, and a
    keyring with all its keys."""
    return sorted(folder.glob(f".*{RESTORING}"))


def destroy_strays(path: Path) -> list[str]:
    """Remove the covers beside the keyring at `path` that it does not name, and what a restore left
    that was cut off; their names.

    Whoever has one mapped goes on; no other process can open it any more.
    """
    ring = parse_keyring(read_private(path))
    strays = sorted({*_strays(path, ring), *left_restoring(path.parent)})
    try:
        for each in strays:
            each.unlink(missing_ok=True)
        durable.sync_folder(path.parent)
    except OSError as error:
        raise KeyringError(
            f"cannot destroy old covers in {path.parent}: {error.strerror}"
        ) from error
    return [each.name for each in strays]

"""The names in a folder tree, in the order an object store lists them, without walking it all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from audit_stream.stores.names import is_part


def walk(root: Path, prefix: str, after: str) -> Iterator[str]:
    """Names of the files below `root`, ascending, that start with `prefix` and exceed `after`.

    Lazy: a folder is read when its turn comes, and one that can hold no match is not read.
    Files that could not be objects' (by their names) are passed over; a symbolic link or a
    device under an object's name is an OSError, for what lies behind it would be missed.
    """
    start = prefix[: prefix.rfind("/") + 1]
    yield from _walk(root, start, prefix, after)


def _walk(root: Path, base: str, prefix: str, after: str) -> Iterator[str]:
    for name in _entries(root, base, prefix, after):
        if name.endswith("/"):
            yield from _walk(root, name, prefix, after)
        else:
            yield name


def _entries(root: Path, base: str, prefix: str, after: str) -> list[str]:
    """Full names in one folder in the order of what they contain.

    A folder counts as its name with the slash that all names in it go on with: so ``a-b`` comes
    before what is in ``a/``, which a plain sort of each folder would put first.
    """
    try:
        found = os.scandir(root / base)
    except (FileNotFoundError, NotADirectoryError):
        return []
    with found:
        names = (_full_name(base, entry) for entry in found if is_part(entry.name))
        return sorted(name for name in names if _may_match(name, prefix, after))


def _full_name(base: str, entry: os.DirEntry[str]) -> str:
    if entry.is_file(follow_symlinks=False):
        return base + entry.name
    if entry.is_dir(follow_symlinks=False):
        return f"{base}{entry.name}/"
    raise OSError(errno.ELOOP, "neither a file nor a folder", entry.path)


def _may_match(name: str, prefix: str, after: str) -> bool:
    """Whether a file matches, or a folder (ending in a slash) can hold one that does."""
    if not name.startswith(prefix):
        return False
    return name > after or (name.endswith("/") and after.startswith(name))

"""What is there of a keyring: files, trees, years; and what of it is wrong, without any key."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from audit_stream.durable import left_behind
from audit_stream.errors import KeyringError
from audit_stream.keys.epochs import left_restoring
from audit_stream.keys.file import load_cover, map_private
from audit_stream.keys.modes import is_open_to_others, is_writable_by_others
from audit_stream.keys.public import FILE as PUBLIC
from audit_stream.keys.wrapping import LOCAL, CoverWrapper, header_of, is_wrapped
from audit_stream.privacy.keyring import Keyring, Tree
from audit_stream.privacy.keytree import ENTRY

_STRAY = (
    "not of this keyring: an older cover can open erased persons; destroy it unless another "
    "keyring here names it"
)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file or folder of a keyring; `wrong` is empty where nothing is."""

    path: Path
    mode: int
    owner: str
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class TreeFacts:
    """A tree; `entries` of its cover, None when the file is away, another's or cannot be opened;
    `wrapped_by` is the URL of the key that wraps it, empty where it is clear."""

    cover: str
    first_epoch: int
    entries: int | None
    wrapped_by: str = ""
    wrong: str = ""


def file_facts(path: Path, ring: Keyring) -> Iterator[FileFacts]:
    """The folder, the files of the keyring at `path`, and what lies beside and may hold keys."""
    folder = path.parent
    yield _folder_facts(folder)
    covers = [folder / name for name in dict.fromkeys(tree.cover for tree in ring.trees)]
    for file in (path, *covers):
        if file.exists():  # a cover that is away is its tree's fault
            yield _facts(
                file, is_open_to_others, f"open to others than its owner: chmod 600 {file}"
            )
    if (public := folder / PUBLIC).exists():
        yield _facts(
            public, is_writable_by_others, f"others can change who is trusted: chmod 600 {public}"
        )
    strays = {*folder.glob("cover-*.bin"), *left_restoring(folder), *left_behind(path)}
    for file in sorted(strays - {*covers}):
        yield replace(_facts(file, is_open_to_others, ""), wrong=_STRAY)


def _folder_facts(folder: Path) -> FileFacts:
    found = _facts(folder, is_writable_by_others, "others than its owner can replace what is in it")
    # As mounted Secrets are: open to all by mode, and nobody can write.
    read_only = bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    return replace(found, wrong="") if read_only else found


def _facts(path: Path, is_open: Callable[[os.stat_result], bool], wrong: str) -> FileFacts:
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    try:
        owner = path.owner()
    except KeyError:  # no name for the number, as in a container
        owner = str(found.st_uid)
    return FileFacts(path, mode, owner, wrong if is_open(found) else "")


def tree_facts(path: Path, ring: Keyring, covers: CoverWrapper = LOCAL) -> Iterator[TreeFacts]:
    """The trees of the keyring at `path`, the oldest first."""
    for tree in sorted(ring.trees, key=lambda tree: tree.first_epoch):
        yield _tree(path, tree, covers)


def _tree(path: Path, tree: Tree, covers: CoverWrapper) -> TreeFacts:
    wrapped_by = ""
    try:
        file = map_private(path.parent / tree.cover)
        wrapped_by = header_of(file).key if is_wrapped(file) else ""
        entries = len(load_cover(path, tree, covers)) // ENTRY
    except KeyringError as error:
        return TreeFacts(tree.cover, tree.first_epoch, None, wrapped_by, error.message)
    return TreeFacts(tree.cover, tree.first_epoch, entries, wrapped_by)


def missing_years(ring: Keyring) -> list[int]:
    """The years between the first and the last key that have none: their records stay closed."""
    years = ring.years
    return [
        year for year in range(min(years, default=1), max(years, default=0)) if year not in years
    ]

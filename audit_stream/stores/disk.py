"""Durable files in a folder tree: what the file stores of archive and subjects are made of.

Blocking code only. A file appears under its final name whole or not at all: it is written and
synced under a temporary name in the same file system first, then linked or renamed, then the
folder is synced.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from audit_stream.durable import sync_folder
from audit_stream.errors import StoreError, StoreRefused, StoreTransient
from audit_stream.stores.listing import walk

TEMP_FOLDER = ".tmp"

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO must not block us

# What repeating the call cannot mend; any other error number may pass by itself.
_REFUSED = {
    errno.EACCES: "give this user access to the folder",
    errno.EPERM: "give this user access; the file system must support hard links",
    errno.EROFS: "the file system is mounted read-only",
    errno.EOPNOTSUPP: "the file system must support hard links and file locks",
    errno.EXDEV: "keep the whole store on one file system",
    errno.ENOTDIR: "an object stands where a folder is needed",
    errno.EISDIR: "a folder stands where an object is needed",
    errno.ELOOP: "replace the symbolic link by what it points to",
    errno.ENAMETOOLONG: "move the store to a shorter path",
    errno.EMLINK: "the folder has too many sub-folders",
    errno.EINVAL: "the file system does not support this",
}
_TRANSIENT = {
    errno.ENOSPC: "free or add disk space",
    errno.EDQUOT: "raise the disk quota",
    errno.EIO: "look at the disk and the kernel log",
    errno.EMFILE: "raise the limit of open files",
    errno.ENFILE: "raise the limit of open files",
    errno.ENOENT: "is the file system still mounted?",
    errno.ESTALE: "is the file system still mounted?",
}


@contextlib.contextmanager
def store_errors(doing: str) -> Iterator[None]:
    """Turn an OSError inside the block into a `StoreError` that says what was being done."""
    try:
        yield
    except OSError as error:
        raise _store_error(error, doing) from error


def _store_error(error: OSError, doing: str) -> StoreError:
    number = error.errno or 0
    message = f"{doing}: {error.strerror or type(error).__name__}"
    if number in _REFUSED:
        return StoreRefused(message, hint=_REFUSED[number])
    return StoreTransient(message, hint=_TRANSIENT.get(number, ""))


class Tree:
    """A store's root folder. Names are checked by the caller; errors are OSErrors.

    `mode` is the permission of new files, before the umask.
    """

    def __init__(self, root: Path, *, mode: int, writable: bool) -> None:
        self.root = root
        self._mode = mode
        self._temp = root / TEMP_FOLDER
        self._durable: set[Path] = set()  # folders whose own entries are known to be synced
        if writable:
            self._create_root()
            self._sweep()
        self._identity = _identity(root)

    def path(self, name: str) -> Path:
        """Where the object `name` lies."""
        return self.root / name

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, or None where there is none."""
        try:
            with open(self.path(name), "rb", opener=_open_file) as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self.check_root()
            return None

    def check_root(self) -> None:
        """Raise unless the root is the folder it was at the start.

        Where a file system was unmounted everything is absent, and absence must not be believed.
        """
        if _identity(self.root) != self._identity:
            raise OSError(errno.ESTALE, "the root folder was replaced")

    def walk(self, prefix: str, after: str) -> Iterator[str]:
        """Names of the files below the root, as `listing.walk`."""
        self.check_root()
        return walk(self.root, prefix, after)

    def link_new(self, name: str, data: bytes) -> bool:
        """Write a new file; False, and nothing changed, when the name is taken. Durable.

        The name that was found taken is durable too: whoever linked it may have died before
        syncing the folder.
        """
        target = self.path(name)
        created = not target.exists() and self._link(target, data)  # a retry need not write
        sync_folder(target.parent)
        return created

    def _link(self, target: Path, data: bytes) -> bool:
        with self._temporary(data) as source:
            self._make_folder(target.parent)
            try:
                os.link(source, target)
            except FileExistsError:
                return False
            return True

    def rename_over(self, name: str, data: bytes) -> None:
        """Replace a file's bytes in one step. Durable."""
        target = self.path(name)
        with self._temporary(data) as source:
            source.rename(target)
        sync_folder(target.parent)

    def unlink(self, name: str) -> None:
        """Remove a file. Durable."""
        target = self.path(name)
        target.unlink()
        sync_folder(target.parent)

    @contextlib.contextmanager
    def _temporary(self, data: bytes) -> Iterator[Path]:
        """A synced file holding `data` under a temporary name, gone afterwards."""
        path, descriptor = self._create_temporary()
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
                yield path
        finally:
            path.unlink(missing_ok=True)

    def _create_temporary(self) -> tuple[Path, int]:
        """A new locked file: the lock tells other processes' sweeps that its writer lives."""
        while True:
            path = self._temp / f"{os.getpid()}-{secrets.token_hex(8)}"
            descriptor = os.open(path, _CREATE, self._mode)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # A sweep may have come between creation and lock.
                if os.fstat(descriptor).st_nlink:
                    return path, descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _sweep(self) -> None:
        """Remove temporary files whose writers are dead: nobody holds their lock."""
        for path in list(self._temp.iterdir()):
            # What cannot be opened or locked is someone else's, or in use: harmless either way.
            with contextlib.suppress(OSError):
                descriptor = os.open(path, _READ)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                finally:
                    os.close(descriptor)

    def _create_root(self) -> None:
        missing = [p for p in (self.root, *self.root.parents) if not p.exists()]
        for folder in reversed(missing):
            _mkdir(folder)
            sync_folder(folder.parent)
        with contextlib.suppress(PermissionError):  # made by an operator, or another worker now
            sync_folder(self.root.parent)
        _mkdir(self._temp)

    def _make_folder(self, folder: Path) -> None:
        """Make `folder` below the root, and its entry durable, once per process.

        One that exists is synced as well: another process may have made it just now.
        """
        if folder == self.root or folder in self._durable:
            return
        self._make_folder(folder.parent)
        _mkdir(folder)
        sync_folder(folder.parent)
        self._durable.add(folder)


def _open_file(path: str, flags: int) -> int:
    return os.open(path, flags | _READ)


def _mkdir(folder: Path) -> None:
    with contextlib.suppress(FileExistsError):
        folder.mkdir()


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino

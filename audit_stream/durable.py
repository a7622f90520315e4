"""Files that last: what a call here wrote is on disk when it returns; and files as locks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

_OWNER_ONLY = 0o600


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: Path, data: bytes) -> None:
    """A file for its owner only; its name lasts with `sync_folder`. `FileExistsError` rather than
    overwrite; after another `OSError` (a full disk) nothing is there that could pass for it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def put_in_place(path: Path, data: bytes) -> None:
    """The same in place of what stands there; whoever reads meanwhile gets one or the other."""
    temporary = path.with_suffix(f".{secrets.token_hex(4)}.tmp")  # others may write it, too
    write_new(temporary, data)
    temporary.replace(path)
    sync_folder(path.parent)


def left_behind(path: Path) -> list[Path]:
    """What `put_in_place` was to put there when it was cut off, or is just going to."""
    return sorted(path.parent.glob(f"{path.stem}.*.tmp"))


@contextlib.contextmanager
def locked(path: Path, wait: float, poll: float) -> Iterator[None]:
    """Hold a lock file, made if need be, for the block; it is never removed, or two processes could
    hold two of them. Seconds: `TimeoutError` after `wait`, looking every `poll`. `OSError`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
    try:
        deadline = time.monotonic() + wait
        while not _taken(descriptor):
            if time.monotonic() >= deadline:
                raise TimeoutError
            time.sleep(poll)
        yield
    finally:
        os.close(descriptor)  # and with it the lock


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

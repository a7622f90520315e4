"""The lock of a keyring's folder: who changes the keyring, or what it is asked to forget, holds it.

It orders erasures and holds on one machine; between machines the archive's registers decide.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from audit_stream.errors import KeyringError

LOCK_FILE = ".lock"  # never removed, or two processes could hold two of them
HOLDING_FILE = ".holding.lock"  # of who makes the store hold what is declared, which takes long
#: Held by a run of erasures from its beginning to its end, which may wait for the fleet.
RUN_FILE = ".erasing.lock"
WAIT_SECONDS = 30.0
_POLL = 0.05  # seconds


@contextlib.contextmanager
def keyring_lock(
    path: Path, wait: float = WAIT_SECONDS, name: str = LOCK_FILE
) -> Iterator[None]:  # fmt: skip
    """Hold the lock of the folder of the keyring at `path` for the block.

    `KeyringError` when another process has it for longer than `wait` seconds.
    """
    place = path.parent / name
    try:
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KeyringError(
            f"cannot lock the keyring's folder {path.parent}: {error.strerror}",
            hint="only who may write the keyring can erase, hold or release",
        ) from error
    try:
        deadline = time.monotonic() + wait
        while not _taken(descriptor):
            if time.monotonic() >= deadline:
                raise KeyringError(
                    f"another process has held {place} for {wait:g} s",
                    hint="an erasure or a hold is at work; wait for it, or see why it hangs",
                )
            time.sleep(_POLL)
        yield
    finally:
        os.close(descriptor)  # and with it the lock


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

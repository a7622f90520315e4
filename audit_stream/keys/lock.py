"""The lock of a keyring's folder: who changes the keyring, or what it is asked to forget, holds it.

It orders erasures and holds on one machine; between machines the archive's registers decide.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from audit_stream.durable import locked
from audit_stream.errors import KeyringError

LOCK_FILE = ".lock"  # never removed, or two processes could hold two of them
HOLDING_FILE = ".holding.lock"  # of who makes the store hold what is declared, which takes long
#: Held by a run of disposals from its beginning to its end: it looks an archive over.
DISPOSING_FILE = ".disposing.lock"
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
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(place, wait, _POLL))
        except TimeoutError:
            raise KeyringError(
                f"another process has held {place} for {wait:g} s",
                hint="an erasure, a hold or a disposal is at work; wait, or see why it hangs",
            ) from None
        except OSError as error:
            raise KeyringError(
                f"cannot lock the keyring's folder {path.parent}: {error.strerror}",
                hint="only who may write the keyring can erase, hold or release",
            ) from error
        yield

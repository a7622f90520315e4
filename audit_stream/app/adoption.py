"""Taking over a newer keyring while a process runs: after an erasure the old keys must be gone.

The keyring's file is watched. A newer epoch is loaded, handed over, and only when nothing holds the
old one any more does the process say so where the erasure waits for its word (`archive.fleet`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic

from audit_stream.app.newest import BEHIND
from audit_stream.archive.fleet import Registration
from audit_stream.errors import AuditError, KeyringError
from audit_stream.keys.file import LoadedKeyring, load_keyring
from audit_stream.keys.wrapping import LOCAL, CoverWrapper
from audit_stream.ports import Alerts
from audit_stream.telemetry.discreet import where

log = logging.getLogger(__name__)
_LOOK_SECONDS, _COMPARE_SECONDS = 2.0, 60.0
_FAILED = "keyring:load"
#: Lets go of the old keys and goes on with these; returns when it has.
Adopt = Callable[[LoadedKeyring], Awaitable[None]]


def _unheard(_: bool) -> None:
    """Nobody has to know whether this process is behind."""


class KeyringWatch:
    """Keeps a process at the newest epoch of its keyring's file."""

    def __init__(
        self, path: Path, epoch: int, registration: Registration,
        newest: Callable[[], Awaitable[int]], adopt: Adopt, alarms: Alerts,
        covers: CoverWrapper = LOCAL, tell_behind: Callable[[bool], None] = _unheard,
    ) -> None:  # fmt: skip
        self._path, self._epoch, self._registration = path, epoch, registration
        self._newest, self._adopt, self._alarms = newest, adopt, alarms
        self._covers, self._tell_behind = covers, tell_behind
        self._behind = False
        self._stamp: tuple[int, int] | None = None
        self._compared_at = monotonic()
        self._wake = asyncio.Event()

    def look(self) -> None:
        """Look at once: somebody met a newer epoch."""
        self._wake.set()

    async def run(self) -> None:
        """For ever; what fails is tried again, and is an alarm."""
        while True:
            try:
                await self._turn()
            except AuditError as error:
                self._alarms.raise_alarm(_FAILED, f"the keyring cannot be taken over: {error}")
            except Exception as error:  # one that nobody thought of must not end it unsaid
                said = f"{type(error).__name__} at {where(error)}"
                self._alarms.raise_alarm(_FAILED, f"the keyring cannot be taken over: {said}")
            else:
                self._alarms.close_alarm(_FAILED, "the keyring is taken over")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _LOOK_SECONDS)

    async def _turn(self) -> None:
        asked = self._wake.is_set()
        self._wake.clear()
        stamp = self._stamp_now()
        if stamp != self._stamp:
            await self._take_over()
            self._stamp = stamp
        if self._registration.member.epoch != self._epoch:
            await self._registration.loaded(self._epoch)
        if asked or self._behind or monotonic() - self._compared_at >= _COMPARE_SECONDS:
            self._compared_at = monotonic()
            await self._compare()

    def _stamp_now(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise KeyringError(f"cannot read the keyring {self._path}: {error.strerror}") from error
        return found.st_ino, found.st_mtime_ns

    async def _take_over(self) -> None:
        ring = await asyncio.to_thread(load_keyring, self._path, self._covers)
        if ring.keyring.epoch > self._epoch:
            await self._adopt(ring)
            log.info("the keyring's epoch is %d: older keys are dropped", ring.keyring.epoch)
            self._epoch = ring.keyring.epoch
        elif ring.keyring.epoch < self._epoch:
            raise KeyringError(
                f"{self._path} has the epoch {ring.keyring.epoch}, this process {self._epoch}",
                hint="an older keyring was put in place: it could open who was erased",
            )

    async def _compare(self) -> None:
        newest = await self._newest()
        self._behind = newest > self._epoch
        self._tell_behind(self._behind)
        if self._behind:
            self._alarms.raise_alarm(
                BEHIND,
                f"the keyring here has the epoch {self._epoch}, the archive is at {newest}: "
                f"nothing is sealed or shown until {self._path} is brought up to it",
            )
        else:
            self._alarms.close_alarm(BEHIND, "the keyring here has the archive's epoch")

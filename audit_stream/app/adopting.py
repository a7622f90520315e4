"""A gateway's keys: loaded once it is registered, and anew whenever its keyring has moved on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audit_stream.app.checks import load_archive_keyring
from audit_stream.app.now import now
from audit_stream.app.repeated import repeated
from audit_stream.archive.fleet import Registration, newest_epoch_told
from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import KeyringError, StoreError
from audit_stream.keys.file import LoadedKeyring, load_cover, read_private
from audit_stream.ports import Alerts
from audit_stream.privacy.keyring import Keyring, Tree, parse_keyring
from audit_stream.privacy.keytree import Buffer
from audit_stream.privacy.subjects import CoverOf
from audit_stream.settings import Settings

log = logging.getLogger(__name__)
_LOOK_SECONDS, _BEAT_SECONDS, _LEAVE_SECONDS = 2.0, 60.0, 5.0
#: Alarms and what they are of.
_ADOPTING = ("keyring:adopt", "taking over the newest keyring")
_BEATING = ("keyring:fleet", "saying which key epoch is loaded")


@dataclass(frozen=True, slots=True)
class Keys:
    """A keyring with all its covers mapped: they can be destroyed behind it."""

    ring: LoadedKeyring
    covers: Mapping[int, Buffer] = field(repr=False)

    @property
    def epoch(self) -> int:
        """Of the keyring."""
        return self.ring.keyring.epoch

    def cover_of(self, tree: Tree) -> Buffer:
        """Of one of its trees."""
        return self.covers[tree.first_epoch]


def load_keys(settings: Settings) -> Keys:
    """From the files that the settings name; `KeyringError`."""
    ring = load_archive_keyring(settings)
    trees = ring.keyring.trees
    return Keys(ring, {tree.first_epoch: load_cover(settings.keyring, tree) for tree in trees})


def index_key_of(path: Path) -> bytes:
    """What private objects are sealed under: the same in every epoch, and it opens no record."""
    return parse_keyring(read_private(path)).index_key


@contextlib.asynccontextmanager
async def registered(private: PrivateObjects, role: str) -> AsyncIterator[Registration]:
    """A process that may hold keys, until the block is left. `StoreError` when it cannot say so."""
    registration = Registration(private, role, now)
    await registration.join()
    try:
        yield registration
    finally:
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await registration.leave()
        except (TimeoutError, StoreError) as error:
            log.warning("%s is still registered: %s", registration.member.process,
                        type(error).__name__)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class KeyWatch:
    """Follows the keyring's file. `adopt` returns when nobody uses other keys any more."""

    settings: Settings
    keys: Keys
    private: PrivateObjects
    registration: Registration
    alarms: Alerts
    adopt: Callable[[Keyring, CoverOf], Awaitable[None]]
    _seen: tuple[int, ...] = ()

    def works(self) -> list[Awaitable[None]]:
        """What is done for ever beside answering."""
        return [
            repeated(self.look, _LOOK_SECONDS, self.alarms, *_ADOPTING),
            repeated(self.beat, _BEAT_SECONDS, self.alarms, *_BEATING),
        ]

    async def look(self) -> None:
        """Take over what stands in the file by now, and say so once the old keys are gone."""
        standing = await asyncio.to_thread(_standing, self.settings.keyring)
        if standing != self._seen:  # before it is read: what is swapped meanwhile is seen next time
            await self._take_over(await asyncio.to_thread(load_keys, self.settings))
            self._seen = standing
        if self.registration.member.epoch != self.keys.epoch:
            await self.registration.loaded(self.keys.epoch)

    async def beat(self) -> None:
        """Still there. `KeyringError` when the keeper has gone on without this keyring."""
        before = self.keys.epoch
        await self.registration.beat()
        if before == self.keys.epoch < (told := await newest_epoch_told(self.private)):
            raise KeyringError(
                f"the keyring has the epoch {before}, the keeper is at {told}",
                hint="give this gateway its view of the newest keyring: erasures wait for it",
            )

    async def _take_over(self, keys: Keys) -> None:
        mine, other = self.keys.ring.keyring, keys.ring.keyring
        if other.encode() == mine.encode():
            return
        if other.epoch < mine.epoch:
            raise KeyringError(
                f"{self.settings.keyring} is of the epoch {other.epoch} now, and {mine.epoch} is "
                "loaded",
                hint="put the newest one back: an older one could open what was erased",
            )
        if other.index_key != mine.index_key:
            raise KeyringError(f"{self.settings.keyring} is not this archive's any more")
        await self.adopt(other, keys.cover_of)
        self.keys = keys
        log.info("the keyring's epoch %d is loaded", keys.epoch)


def _standing(path: Path) -> tuple[int, ...]:
    """Another one whenever the file was swapped."""
    try:
        found = path.stat()
    except OSError as error:
        raise KeyringError(f"cannot read the keyring {path}: {error.strerror}") from error
    return found.st_mtime_ns, found.st_ino, found.st_size

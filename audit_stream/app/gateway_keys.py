"""A gateway's keys, and its word of them: it loads none before it is registered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audit_stream.app.checks import load_archive_keyring
from audit_stream.app.covers import cover_opener
from audit_stream.app.now import now
from audit_stream.archive.fleet import Registration
from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import StoreError
from audit_stream.keys.file import LoadedKeyring, read_private
from audit_stream.privacy.keyring import Tree, parse_keyring
from audit_stream.privacy.keytree import Buffer
from audit_stream.settings import Settings

log = logging.getLogger(__name__)
_LEAVE_SECONDS = 5.0


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


def with_covers(settings: Settings, ring: LoadedKeyring) -> Keys:
    """Of the keyring that the settings name; `KeyringError`."""
    older = sorted(ring.keyring.trees, key=lambda each: each.first_epoch)
    newest, opened = older.pop(), cover_opener(settings)
    covers: dict[int, Buffer] = {each.first_epoch: opened(each) for each in older}
    covers[newest.first_epoch] = ring.cover
    return Keys(ring, covers)


def load_keys(settings: Settings) -> Keys:
    """From the files that the settings name; `KeyringError`."""
    return with_covers(settings, load_archive_keyring(settings))


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

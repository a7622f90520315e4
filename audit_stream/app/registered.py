"""A process's word that it may hold keys: given before it loads any, taken away when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from audit_stream.app.now import now
from audit_stream.app.places import subject_store
from audit_stream.archive.fleet import Registration, say_left
from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import StoreError
from audit_stream.keys.file import read_private
from audit_stream.privacy.keyring import parse_keyring
from audit_stream.settings import Settings

log = logging.getLogger(__name__)
_LEAVE_SECONDS = 5.0


def index_key_of(path: Path) -> bytes:
    """What private objects are sealed under: the same in every epoch, and it opens no record."""
    return parse_keyring(read_private(path)).index_key


@contextlib.asynccontextmanager
async def registered(
    private: PrivateObjects, role: str, name: str | None = None
) -> AsyncIterator[Registration]:
    """A process that may hold keys, until the block is left, however it is; `name`: under which it
    is a static member of the workers' group. `StoreError` when it cannot say so."""
    registration = Registration(private, role, now, name)
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


@contextlib.contextmanager
def registered_run(settings: Settings, role: str) -> Iterator[None]:
    """The same for a run in processes of its own: it holds keys of the epoch that it began with
    until the block is left, and takes no newer ones over, so an erasure waits for its end."""
    process = asyncio.run(_joined(settings, role))
    try:
        yield
    finally:
        try:
            asyncio.run(_left(settings, process))
        except (TimeoutError, StoreError) as error:
            log.warning("%s is still registered: %s", process, type(error).__name__)


@contextlib.asynccontextmanager
async def private_of(settings: Settings) -> AsyncIterator[PrivateObjects]:
    """The private objects of an installation, for the block."""
    store = subject_store(settings)
    try:
        yield PrivateObjects(store, index_key_of(settings.keyring))
    finally:
        await store.close()


async def _joined(settings: Settings, role: str) -> str:
    async with private_of(settings) as private:
        registration = Registration(private, role, now)
        await registration.join()
        # After the word, and before any cover is loaded; whoever is punctured from now on waits.
        await registration.loaded(parse_keyring(read_private(settings.keyring)).epoch)
        return registration.member.process


async def _left(settings: Settings, process: str) -> None:
    async with asyncio.timeout(_LEAVE_SECONDS), private_of(settings) as private:
        await say_left(private, process, now())

"""A process's word that it may hold keys: given before it loads any, taken away when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from audit_stream.app.now import now
from audit_stream.archive.fleet import Registration
from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import StoreError
from audit_stream.keys.file import read_private
from audit_stream.privacy.keyring import parse_keyring

log = logging.getLogger(__name__)
_LEAVE_SECONDS = 5.0


def index_key_of(path: Path) -> bytes:
    """What private objects are sealed under: the same in every epoch, and it opens no record."""
    return parse_keyring(read_private(path)).index_key


@contextlib.asynccontextmanager
async def registered(private: PrivateObjects, role: str) -> AsyncIterator[Registration]:
    """A process that may hold keys, until the block is left, however it is. `StoreError` when it
    cannot say so."""
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

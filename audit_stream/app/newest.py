"""The keyring a process starts with: an erasure may be moving it on just then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from math import inf
from time import monotonic

from audit_stream.app.checks import archive_reached, load_archive_keyring, outdated
from audit_stream.archive.fleet import newest_epoch_told
from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.batch import JOURNAL
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.keys.file import LoadedKeyring, read_private
from audit_stream.ports import Alerts, WormStore
from audit_stream.privacy.keyring import parse_keyring
from audit_stream.settings import Settings

_LOOK_SECONDS = 1.0
#: How long (s) a command that somebody waits for lets an erasure go on; who runs on has no limit.
COMMAND_PATIENCE = 60.0
#: The alarm of a process whose keyring is older than the archive, also of one that runs.
BEHIND = "keyring:behind"


class AskedToEnd(Exception):
    """The process was told to end while it waited."""


def never() -> bool:
    """Of who is ended by the interpreter."""
    return False


async def newest_keyring(
    settings: Settings, store: WormStore, private: PrivateObjects, alarms: Alerts, *,
    streams: Mapping[str, StreamObject] | None = None, asked_to_end: Callable[[], bool] = never,
    patience: float = inf,
) -> LoadedKeyring:  # fmt: skip
    """The archive's keyring with its cover, at the archive's epoch. Where an erasure is at work it
    is waited for, as everybody does who runs: its keeper has moved the keyring on since it was
    loaded, or ended before it came to this role's view, and the next one goes on.

    `KeyringError` when it is older and nothing is moving it on: it would revive the erased; also
    after `patience` seconds. `AskedToEnd`. `streams`: whose segments are looked at, too.
    """
    until = monotonic() + patience
    while True:
        ring = await asyncio.to_thread(load_archive_keyring, settings)
        told = await newest_epoch_told(private)
        reached = await archive_reached(store, ring, streams or {}, told)
        if reached <= (epoch := ring.keyring.epoch):
            alarms.close_alarm(BEHIND, "the keyring here has the archive's epoch")
            return ring
        del ring  # what it opens is being erased
        at_work = await private.get(JOURNAL) is not None  # asked first: it goes behind the file
        if parse_keyring(read_private(settings.keyring)).epoch > epoch:
            continue  # loaded a moment too early
        if not at_work:
            raise outdated(epoch, reached)
        if monotonic() >= until:
            raise outdated(epoch, reached, "an erasure is at work: try again when it is done")
        alarms.raise_alarm(
            BEHIND,
            f"the keyring here has the epoch {epoch}, the archive is at {reached}, and an erasure "
            f"is at work: waiting until {settings.keyring} is brought up to it",
        )
        if asked_to_end():
            raise AskedToEnd("told to end before an erasure had brought the keyring up")
        await asyncio.sleep(_LOOK_SECONDS)

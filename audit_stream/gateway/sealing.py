"""Sealing the access journal: each closed part becomes an object of the archive, once.

A part's object has a name and bytes that follow from the part alone. So whoever seals it again,
after a crash or at the same time, writes the same; the file goes only when the object stands.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from audit_stream.errors import ForkAlarm, StateError
from audit_stream.evidence.access import JournalPart, decode_part
from audit_stream.evidence.log_names import access_name
from audit_stream.gateway.parts import closed_parts, identity
from audit_stream.ports import PutResult, WormStore


async def drain(folder: Path, store: WormStore) -> int:
    """Put every closed part of the journal into the archive, the oldest first; how many.

    `StoreError`: what is left waits for the next call. `StateError`, `FormatError`, `ForkAlarm`:
    somebody has to look: the folder cannot be used, the object before is missing, a part is
    damaged, or another stands under its name.
    """
    journal, archive = identity(folder)
    sealed = 0
    try:
        for number, path in await asyncio.to_thread(closed_parts, folder):
            prev = await _leaf_before(store, journal, number)
            made = await asyncio.to_thread(_made, path, archive, journal, number, prev)
            if made is not None:
                await _put(store, *made)
                path.unlink(missing_ok=True)
                sealed += 1
    except OSError as error:
        raise StateError(f"{folder} cannot be used: {error.strerror}") from error
    return sealed


def _made(
    path: Path, archive: str, journal: str, number: int, prev: bytes | None
) -> tuple[str, bytes] | None:
    """Name and bytes of the object; None when another has sealed the part meanwhile."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if not (entries := data.split(b"\n")[:-1]):
        raise StateError(f"{path} is closed and has no entry", hint="it was cut: restore it")
    part = JournalPart(archive=archive, journal=journal, number=number, prev=prev, entries=entries)
    made = part.encode()
    decode_part(made, str(path))  # what no reader takes would stand there for good
    return part.name, made


async def _put(store: WormStore, name: str, data: bytes) -> None:
    if await store.put_if_absent(name, data, {}) is PutResult.EXISTS:
        raise ForkAlarm(
            f"{name} is another than this journal's part",
            hint="two journals have one id, or it was forged: keep folder and object",
        )


def unsealed_seconds(folder: Path, now: float) -> float:
    """Age of the oldest closed part that waits, since it was last written to, at `now` (Unix
    seconds); 0 if none waits, or there is no journal yet."""
    with contextlib.suppress(FileNotFoundError):  # sealed meanwhile
        for _, path in closed_parts(folder):
            return max(0.0, now - path.stat().st_mtime)
    return 0.0


async def _leaf_before(store: WormStore, journal: str, number: int) -> bytes | None:
    if number == 0:
        return None
    name = access_name(journal, number - 1)
    data = await store.get(name)
    if data is None:
        raise StateError(
            f"{name} is missing, and the next part of this journal cannot follow it",
            hint="it is not the store it was sealed into, or the object was taken away",
        )
    return (await asyncio.to_thread(decode_part, data, name)).leaf

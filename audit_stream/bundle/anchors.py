"""What vouches for a bundle's checkpoint, as far as its exporter can see that it holds.

Whoever may put an object may put one under an anchor's name, and to verifiers a bundle with one
that does not hold was changed: it is left where it is, and so is a checkpoint that nothing else
vouches for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from hashlib import sha256
from importlib.util import find_spec

from audit_stream.anchors.newest import anchored_sizes
from audit_stream.errors import FormatError
from audit_stream.evidence.log_names import anchor_name, parse_anchor_name
from audit_stream.evidence.note import LONGEST, Note, NoteKey, parse_note
from audit_stream.evidence.timestamp import PACKAGES, check_token
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.ports import WormStore

_MOST_FILES = 32  # of one size: with all sizes some two thousand reads, where all are junk
_SHA256_OCTETS = b"\x04\x20"  # what a SHA-256 in DER begins with


async def vouched_head(
    store: WormStore, log: ArchiveLog, index: int, witnesses: Collection[NoteKey] = ()
) -> tuple[Head, dict[str, bytes]]:
    """The newest state that holds the leaf `index` and that somebody outside vouches for, and what
    they said, by file name; else the newest. `witnesses` are those whose lines can be judged here.
    `FormatError`, `StoreError`."""
    newest: Head | None = None
    with contextlib.suppress(FormatError):  # junk behind the log's end: look at all anchors, then
        newest = await log.head()
    below = None if newest is None else newest.size + 1
    async with contextlib.aclosing(anchored_sizes(store, below)) as sizes:
        async for size in sizes:
            if size <= index:
                break
            head = await log.head_at(size)
            if head is not None and (found := await held_anchors(store, head, witnesses)):
                return head, found
    newest = newest or await log.head()
    if newest is None:
        raise FormatError("the archive log was not begun", hint="run: audit-stream notary")
    return newest, {}


async def held_anchors(
    store: WormStore, head: Head, witnesses: Collection[NoteKey] = ()
) -> dict[str, bytes]:
    """What vouches for the checkpoint of a state and holds, by file name. `StoreError`."""
    found: dict[str, bytes] = {}
    for name in await store.names(anchor_name(head.size, ""), limit=_MOST_FILES):
        parts, data = parse_anchor_name(name), await store.get(name)
        if parts is None or data is None:
            continue
        with contextlib.suppress(FormatError):
            _check(parts[1], data, head.note, witnesses)
            found[parts[1]] = data
    return found


def _check(file: str, data: bytes, note: Note, witnesses: Collection[NoteKey]) -> None:
    if len(data) > LONGEST:
        raise FormatError(f"{file} is longer than {LONGEST} bytes")
    if file.endswith(".note"):
        _check_note(parse_note(data, file), note, witnesses, file)
    elif _SHA256_OCTETS + sha256(note.encode()).digest() not in data:
        raise FormatError(f"{file} is over other bytes")
    elif all(map(find_spec, PACKAGES)):
        check_token(data, note.encode(), file)


def _check_note(said: Note, note: Note, witnesses: Collection[NoteKey], file: str) -> None:
    if said.text != note.text:
        raise FormatError(f"{file} is not a note of this checkpoint")
    if not {*said.signatures} - {*note.signatures}:
        raise FormatError(f"{file} has no line that the checkpoint has not")
    for key in witnesses:
        names_it = any((each.name, each.id) == (key.name, key.id) for each in said.signatures)
        if names_it and said.cosigned_at(key) is None:
            raise FormatError(f"{file} has a line of {key.name} that is not good")

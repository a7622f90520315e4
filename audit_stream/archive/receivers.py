"""Who was ever sent personal fields: a deliverer notes each receiver before it first sends any.

An erasure tells each of them to erase what it was sent, so that one that was taken out of the
settings since is not left out. Notes are new objects, never rewritten ones: a deliverer's identity
may add to the subject store and replace nothing (`archive.fleet`).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical, check_members
from audit_stream.evidence.encoding import is_time
from audit_stream.evidence.record import PERSONAL_FIELDS
from audit_stream.evidence.redaction import check_actor
from audit_stream.privacy.private_object import FOLDER

RECEIVERS, GONE = f"{FOLDER}receivers/", f"{FOLDER}receivers-gone/"
VERSION, _GONE_VERSION = "audit-receiver/1", "audit-receiver-gone/1"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_MEMBERS = frozenset({"fields", "key", "name", "since", "v"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A receiver that has copies of personal fields."""

    name: str
    fields: tuple[str, ...]  # that it was ever sent, in the order of `PERSONAL_FIELDS`
    keys: tuple[str, ...]  # forms of the idempotency keys that its posts had
    since: str  # when a deliverer was about to send it the first: RFC 3339


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    fields: tuple[str, ...]
    key: str
    name: str
    since: str


def check_receiver(name: str) -> str:
    """A receiver's name, which stands in object names and certificates; `FormatError`."""
    if not _NAME(name):
        raise FormatError("a receiver's name has 1 to 64 letters, digits, - and _")
    return name


async def note_receiver(
    private: PrivateObjects, name: str, fields: Collection[str], key: str, at: str
) -> None:
    """Before the first of these fields is posted to it, under idempotency keys of the form `key`
    (of `delivery.body.KeyForm`), and again before a newer key epoch is said to be loaded: somebody
    may have taken the note away meanwhile. Repeating it changes nothing.

    `StoreError`: then nothing may be sent.
    """
    known = tuple(each for each in PERSONAL_FIELDS if each in fields)
    if not known:
        return
    note = _Note(fields=known, key=key, name=check_receiver(name), since=at)
    kind = sha256(canonical({"fields": known, "key": key})).hexdigest()[:16]
    await private.create(f"{RECEIVERS}{name}/{kind}", asdict(note) | {"v": VERSION})


async def receivers(private: PrivateObjects) -> list[Receiver]:
    """All that were ever noted, by name. `StoreError`, `FormatError`."""
    notes: dict[str, list[_Note]] = {}
    for kept in await private.all(RECEIVERS):
        note = _decode(kept.value, kept.name)
        notes.setdefault(note.name, []).append(note)
    return [_together(name, each) for name, each in sorted(notes.items())]


async def forget_receiver(
    private: PrivateObjects, name: str, by: str, reason: str, at: str
) -> bool:
    """A person answers for it that it has no copies any more: no later erasure tells it, unless a
    deliverer notes it again. Whether there was one of the name. `StoreError`, `FormatError`."""
    check_actor(by)
    names = await private.names(f"{RECEIVERS}{check_receiver(name)}/")
    if not names:
        return False
    value = {"at": at, "by": by, "reason": reason, "v": _GONE_VERSION}
    await private.update(GONE + name, lambda _: value)  # first: who did it must not be lost
    for each in names:
        await private.discard(each)
    return True


def _together(name: str, notes: list[_Note]) -> Receiver:
    sent = {each for note in notes for each in note.fields}
    return Receiver(
        name=name, fields=tuple(each for each in PERSONAL_FIELDS if each in sent),
        keys=tuple(sorted({note.key for note in notes})), since=min(note.since for note in notes),
    )  # fmt: skip


def _decode(value: dict[str, Any], what: str) -> _Note:
    check_members(value, VERSION, _MEMBERS, what)
    fields, name = value["fields"], value["name"]
    if not isinstance(fields, list) or not set(fields) <= set(PERSONAL_FIELDS):
        raise FormatError(f"{what} names no personal fields")
    if not what.startswith(f"{RECEIVERS}{name}/") or not is_time(value["since"]):
        raise FormatError(f"{what} is not the note of a receiver")
    return _Note(fields=tuple(fields), key=str(value["key"]), name=name, since=value["since"])

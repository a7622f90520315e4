"""Who holds keys: every worker and gateway says in the private objects which epoch it has loaded.

It says so before it loads anything (epoch 0), so that an erasure waits for whoever may have loaded
the old keys, and when it has dropped them. One that ends says that, too; one that was killed does
not, and is waited for until somebody has found it gone. Words are new objects, never rewritten
ones: a worker's identity may add to the subject store and replace nothing. The keeper takes the
words of those that ended away.
"""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import check_members
from audit_stream.privacy.private_object import FOLDER

VERSION = "audit-fleet-member/1"
FLEET = f"{FOLDER}fleet/"
EPOCH = f"{FOLDER}epoch"
_EPOCH_VERSION = "audit-epoch/1"
_LEFT = "left"
_WORD = re.compile(rf"{FLEET}(?P<process>[a-z]+-[0-9a-f]{{16}})/(?P<word>\d{{10}}|{_LEFT})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What a process says of itself. Times are RFC 3339."""

    epoch: int  # of the keyring it has loaded; 0: it may be loading any
    host: str  # of a static member of the workers' group its name there
    process: str  # role and 16 random hexadecimal digits; a worker's Kafka clients have it, too
    role: str
    said: str  # when it came to this epoch
    since: str


_MEMBERS = frozenset(Member.__dataclass_fields__) | {"v"}


def new_member(role: str, at: str, name: str | None = None) -> Member:
    """A process that begins."""
    process = f"{role}-{secrets.token_hex(8)}"
    host = name or socket.gethostname()
    return Member(epoch=0, host=host, process=process, role=role, said=at, since=at)


def _decode_member(value: dict[str, Any], what: str) -> Member:
    check_members(value, VERSION, _MEMBERS, what)
    if type(value["epoch"]) is not int or type(value["process"]) is not str:
        raise FormatError(f"{what} is not a process")
    return Member(**{name: value[name] for name in _MEMBERS - {"v"}})


class Registration:
    """A process's own word. Errors are `StoreError`: without its word it must not load keys."""

    def __init__(
        self, private: PrivateObjects, role: str, now: Callable[[], str], name: str | None = None
    ) -> None:  # fmt: skip
        self._private, self._now = private, now
        self.member = new_member(role, now(), name)

    async def join(self) -> None:
        """Before any key is loaded."""
        await self._say(self.member)

    async def loaded(self, epoch: int) -> None:
        """Keys of this epoch are loaded, and all others dropped."""
        await self._say(replace(self.member, epoch=epoch, said=self._now()))

    async def leave(self) -> None:
        """It ends, and its keys with it."""
        await say_left(self._private, self.member.process, self._now())

    async def _say(self, member: Member) -> None:
        name = f"{FLEET}{member.process}/{member.epoch:010d}"
        await self._private.create(name, asdict(member) | {"v": VERSION})
        self.member = member


async def say_left(private: PrivateObjects, process: str, at: str) -> None:
    """A process has ended, and its keys with it."""
    await private.create(f"{FLEET}{process}/{_LEFT}", {"at": at, "v": VERSION})


def _words(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Names of what each process said, by process and by what."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        if (match := _WORD.fullmatch(name)) is not None:
            found.setdefault(match["process"], {})[match["word"]] = name
    return found


async def members(private: PrivateObjects) -> list[Member]:
    """All that said they hold keys and not that they ended, by their last word."""
    found = []
    for words in _words(await private.names(FLEET)).values():
        if _LEFT in words:
            continue
        kept = await private.get(words[max(words)])
        if kept is not None:
            found.append(_decode_member(kept.value, kept.name))
    return found


async def forget_ended(private: PrivateObjects, gone: Iterable[str] = ()) -> None:
    """Take away the words of processes that ended, or are known to be gone: for the keeper.

    That it left goes last: a process whose first words alone are left would be waited for.
    """
    known = set(gone)
    for process, words in _words(await private.names(FLEET)).items():
        if process in known or _LEFT in words:
            for _, name in sorted(words.items()):
                await private.discard(name)


async def newest_epoch_told(private: PrivateObjects) -> int:
    """The epoch that the keeper has moved the keyring to; 0 where nobody was erased yet."""
    kept = await private.get(EPOCH)
    return 0 if kept is None else int(kept.value["epoch"])


async def tell_epoch(private: PrivateObjects, epoch: int) -> None:
    """From now on a keyring of a lower epoch is refused."""

    def raised(value: dict[str, Any] | None) -> dict[str, Any]:
        before = 0 if value is None else int(value["epoch"])
        return {"epoch": max(before, epoch), "v": _EPOCH_VERSION}

    await private.update(EPOCH, raised)

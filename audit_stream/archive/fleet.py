"""Who holds keys: every worker and gateway says in the private objects which epoch it has loaded.

It says so before it loads anything (epoch 0), so that an erasure waits for whoever may have loaded
the old keys, and when it has dropped them. One that ends takes its word away; one that was killed
leaves it, and is waited for until somebody has found it gone.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What a process says of itself. Times are RFC 3339."""

    epoch: int  # of the keyring it has loaded; 0: it may be loading any
    host: str
    process: str  # role and 16 random hexadecimal digits; a worker's Kafka clients have it, too
    role: str
    seen: str
    since: str

    @property
    def name(self) -> str:
        """Of its private object."""
        return FLEET + self.process


_MEMBERS = frozenset(Member.__dataclass_fields__) | {"v"}


def new_member(role: str, at: str) -> Member:
    """A process that begins."""
    return Member(epoch=0, host=socket.gethostname(), process=f"{role}-{secrets.token_hex(8)}",
                  role=role, seen=at, since=at)  # fmt: skip


def decode_member(value: dict[str, Any], what: str) -> Member:
    """From a private object's value; `FormatError`."""
    check_members(value, VERSION, _MEMBERS, what)
    if type(value["epoch"]) is not int or type(value["process"]) is not str:
        raise FormatError(f"{what} is not a process")
    return Member(**{name: value[name] for name in _MEMBERS - {"v"}})


class Registration:
    """A process's own word. Errors are `StoreError`: without its word it must not load keys."""

    def __init__(self, private: PrivateObjects, role: str, now: Callable[[], str]) -> None:
        self._private, self._now = private, now
        self.member = new_member(role, now())

    async def join(self) -> None:
        """Before any key is loaded."""
        await self._say(self.member)

    async def loaded(self, epoch: int) -> None:
        """Keys of this epoch are loaded, and all others dropped."""
        await self._say(replace(self.member, epoch=epoch))

    async def beat(self) -> None:
        """It is there."""
        await self._say(self.member)

    async def leave(self) -> None:
        """It ends, and its keys with it."""
        kept = await self._private.get(self.member.name)
        if kept is not None:
            await self._private.remove(kept)

    async def _say(self, member: Member) -> None:
        said = replace(member, seen=self._now())
        await self._private.update(said.name, lambda _: asdict(said) | {"v": VERSION})
        self.member = said


async def members(private: PrivateObjects) -> list[Member]:
    """All that said they hold keys."""
    return [decode_member(each.value, each.name) for each in await private.all(FLEET)]


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

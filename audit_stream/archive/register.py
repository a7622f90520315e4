"""A register in a store: following its entries, and putting the next one.

Junk under an entry's name (whatever no trusted key signed for this archive) is passed over: the
next number is taken. Numbers have no hole: behind a free one nothing counts, so that nobody can
use up the numbers, and what a trusted key signed there shows that an entry was taken away. Two who
append race for the name; who loses goes on behind the winner.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from audit_stream.errors import AuditError, ForkAlarm, FormatError, StoreError, UnknownVersion
from audit_stream.evidence.register import (
    Entry,
    Register,
    RegisterHead,
    decode_entry,
    parse_entry_name,
    signer_of_entry,
)
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.ports import PutResult, WormStore

_AT_A_TIME = 32  # entries read beside each other, some kB each


def open_entry(data: bytes, name: str, keys: TrustedKeys, archive: str) -> Entry | None:
    """The entry of this archive under a name, signed by the trusted key that it names; None: it is
    junk. `UnknownVersion` of what a trusted key signed for a newer release."""
    if signer_of_entry(data, name, keys) is None:
        return None
    try:
        entry = decode_entry(data, name)
    except UnknownVersion:
        raise
    except FormatError:
        return None
    return entry if entry.is_signed(keys) and entry.archive == archive else None


@dataclass(slots=True)
class _Walked:
    """What one look at the store gave, before it is taken over."""

    next: int
    leaf: bytes | None  # of the entry before
    entries: list[Entry] = field(default_factory=list)
    junk: list[str] = field(default_factory=list)
    wrong: AuditError | None = None  # why it goes no further


class RegisterReader:
    """Follows one register of one archive, from its beginning or from behind a known entry."""

    def __init__(
        self, store: WormStore, keys: TrustedKeys, archive: str, register: Register,
        begin: RegisterHead | None = None,
    ) -> None:  # fmt: skip
        self._store, self._keys, self._archive, self._register = store, keys, archive, register
        self._next = 0 if begin is None else begin.next
        self._leaf = None if begin is None else begin.leaf
        self._last: Entry | None = None
        self._was_read = False
        self.junk: list[str] = []  # names passed over

    @property
    def last(self) -> Entry | None:
        """The newest entry that was read."""
        return self._last

    @property
    def next_number(self) -> int:
        """The first number under which nothing was met."""
        return self._next

    async def new_entries(self) -> Sequence[Entry]:
        """What came since the last call, in order; all of it, or it raises and nothing is taken
        over: the next call begins at the same place.

        `ForkAlarm` when a signed entry does not continue the chain, `UnknownVersion` of a newer
        release's entry, `StoreError`.
        """
        walked = await self._walk(None)
        if walked.wrong is not None:
            raise walked.wrong
        return self._taken(walked)

    async def read_on(self, limit: int) -> tuple[Sequence[Entry], AuditError | None]:
        """About so many of the next entries, and what stands in the way of more, if anything does:
        for who takes what holds and says the rest. `StoreError`."""
        walked = await self._walk(limit)
        return self._taken(walked), walked.wrong

    def _taken(self, walked: _Walked) -> Sequence[Entry]:
        self._next, self._leaf, self._was_read = walked.next, walked.leaf, True
        self._last = walked.entries[-1] if walked.entries else self._last
        self.junk += walked.junk
        return walked.entries

    async def _walk(self, limit: int | None) -> _Walked:
        walked = _Walked(self._next, self._leaf)
        async for name, data in self._objects(limit):
            try:
                await self._judge(name, data, walked)
            except (ForkAlarm, FormatError) as error:
                walked.wrong = error
                break
        return walked

    async def _objects(self, limit: int | None) -> AsyncIterator[tuple[str, bytes]]:
        """What lies under names of entries, from the next number on; junk is read once."""
        known = set(self.junk)
        folder = self._register.folder
        after = self._register.entry_name(self._next - 1) if self._next else folder
        most = None if limit is None else limit + len(known)
        names = await self._store.names(folder, after=after, limit=most)
        wanted = [name for name in names if parse_entry_name(name)]
        for at in range(0, len(wanted), _AT_A_TIME):
            some = wanted[at : at + _AT_A_TIME]
            unread = [name for name in some if name not in known]
            read = dict(zip(unread, await asyncio.gather(*map(self._get, unread)), strict=True))
            for name in some:
                yield name, read.get(name, b"")

    async def _get(self, name: str) -> bytes:
        data = await self._store.get(name)
        if data is None:
            raise StoreError(f"{name} is listed and cannot be read")
        return data

    async def _judge(self, name: str, data: bytes, walked: _Walked) -> None:
        """Take one object over, or pass it over."""
        entry = open_entry(data, name, self._keys, self._archive)
        if entry is None:
            if data:
                walked.junk.append(name)
            walked.next += name == self._register.entry_name(walked.next)
            return
        await self._fill(entry.number, walked)
        if entry.number != walked.next or entry.prev != walked.leaf:
            raise ForkAlarm(
                f"{name} does not follow the entry before it",
                hint="an entry was taken away or two histories were written: "
                "read docs/runbooks/fork.md",
            )
        walked.entries.append(entry)
        walked.next, walked.leaf = entry.number + 1, entry.leaf

    async def _fill(self, end: int, walked: _Walked) -> None:
        """What a listing missed, because it came while it was made, stands under the numbers
        before."""
        while walked.next < end:
            name = self._register.entry_name(walked.next)
            data = await self._store.get(name)
            if data is None:
                return
            await self._judge(name, data, walked)


class RegisterWriter(RegisterReader):
    """Appends to one register, too."""

    async def append(self, said: Mapping[str, Any], signer: LineSigner) -> Entry:
        """Put an entry with these members behind all there are, and read it back. The register is
        only read again where another writer was first, or junk was: many in a row cost no more.

        Not idempotent by itself: who must not say a thing twice reads `new_entries` first.
        """
        if not self._was_read:
            await self.new_entries()
        while True:
            entry = Entry(
                register=self._register, archive=self._archive, kid=signer.kid,
                number=self.next_number, prev=self._leaf, said=said,
            )  # fmt: skip
            data = entry.encode(signer)
            if await self._store.put_if_absent(entry.name, data, {}) is PutResult.STORED:
                if await self._store.get(entry.name) != data:
                    raise StoreError(f"{entry.name} was stored and reads back as something else")
                stored = decode_entry(data, entry.name)
                self._taken(_Walked(stored.number + 1, stored.leaf, [stored]))
                return stored
            await self.new_entries()

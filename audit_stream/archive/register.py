"""A register in a store: following its entries, and putting the next one.

Junk under an entry's name (whatever no trusted key signed for this archive) is passed over: the
next number is taken. Two who append race for the name; who loses goes on behind the winner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audit_stream.errors import ForkAlarm, FormatError, StoreError, UnknownVersion
from audit_stream.evidence.register import Entry, Register, decode_entry, parse_entry_name
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.ports import PutResult, WormStore


class RegisterReader:
    """Follows one register of one archive."""

    def __init__(
        self, store: WormStore, keys: TrustedKeys, archive: str, register: Register
    ) -> None:
        self._store, self._keys, self._archive, self._register = store, keys, archive, register
        self._last: Entry | None = None
        self._seen = ""  # name of the last object looked at
        self.junk: list[str] = []  # names passed over

    @property
    def last(self) -> Entry | None:
        """The newest entry that was read."""
        return self._last

    @property
    def next_number(self) -> int:
        """The first number under which nothing was met."""
        place = parse_entry_name(self._seen)
        return 0 if place is None else place[1] + 1

    async def new_entries(self) -> Sequence[Entry]:
        """What came since the last call, in order.

        `ForkAlarm` when a signed entry does not continue the chain, `UnknownVersion` of a newer
        release's entry, `StoreError`.
        """
        found: list[Entry] = []
        for name in await self._store.names(self._register.folder, after=self._seen):
            entry = await self._entry(name)
            self._seen = max(self._seen, name if parse_entry_name(name) else self._seen)
            if entry is not None:
                self._last = entry
                found.append(entry)
        return found

    async def _entry(self, name: str) -> Entry | None:
        data = await self._store.get(name)
        if data is None:
            raise StoreError(f"{name} is listed and cannot be read")
        try:
            entry = decode_entry(data, name)
        except UnknownVersion:
            raise
        except FormatError:
            entry = None
        if entry is None or not entry.is_signed(self._keys) or entry.archive != self._archive:
            self.junk.append(name)
            return None
        if entry.prev != (None if self._last is None else self._last.leaf):
            raise ForkAlarm(
                f"{name} does not follow the entry before it",
                hint="an entry was taken away or two histories were written: "
                "read docs/runbooks/fork.md",
            )
        return entry


class RegisterWriter(RegisterReader):
    """Appends to one register, too."""

    async def append(self, said: Mapping[str, Any], signer: LineSigner) -> Entry:
        """Put an entry with these members behind all there are, and read it back.

        Not idempotent by itself: who must not say a thing twice reads `new_entries` first.
        """
        while True:
            await self.new_entries()
            entry = Entry(
                register=self._register, archive=self._archive, kid=signer.kid,
                number=self.next_number, prev=None if self._last is None else self._last.leaf,
                said=said,
            )  # fmt: skip
            data = entry.encode(signer)
            if await self._store.put_if_absent(entry.name, data, {}) is PutResult.STORED:
                if await self._store.get(entry.name) != data:
                    raise StoreError(f"{entry.name} was stored and reads back as something else")
                await self.new_entries()
                return entry

"""The register of redactions as answers need it: its newest certificate, and which ones can be a
record's. Not all of it is read: with the numbers, epochs rise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from audit_stream.archive.newest import newest_number
from audit_stream.errors import ForkAlarm, FormatError, UnknownVersion
from audit_stream.evidence.redaction import Redaction, redaction_of
from audit_stream.evidence.register import Entry, Register, decode_entry, parse_entry_name
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.ports import WormStore

_FOLDER = Register.REDACTIONS.folder
_DIGITS = 20
_KEPT = 10_000  # certificates that are remembered


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate in its register."""

    entry: Entry
    redaction: Redaction

    @property
    def number(self) -> int:
        """In the register."""
        return self.entry.number

    @property
    def epoch(self) -> int:
        """The first key epoch that does not open what was erased."""
        return self.redaction.epochs[1]


async def newest_first(store: WormStore) -> AsyncIterator[Certificate]:
    """Whatever has a certificate's form, whoever signed it, from the newest number down."""
    number = await newest_number(store, _FOLDER, _DIGITS)
    while number is not None:
        found = _decoded(await store.get(Register.REDACTIONS.entry_name(number)), number)
        if found is not None:
            yield found
        number = await newest_number(store, _FOLDER, _DIGITS, below=number)


def _decoded(data: bytes | None, number: int) -> Certificate | None:
    """None for what is no certificate; `UnknownVersion` of a newer release's."""
    try:
        entry = decode_entry(data or b"", Register.REDACTIONS.entry_name(number))
        return Certificate(entry, redaction_of(entry))
    except UnknownVersion:
        raise
    except FormatError:
        return None


class Certificates:
    """The certificates of one archive that trusted keys signed.

    Every method raises `StoreError`, and `UnknownVersion` where a newer release wrote one.
    """

    def __init__(self, store: WormStore, keys: TrustedKeys, archive: str) -> None:
        self._store, self._keys, self._archive = store, keys, archive
        self._kept: dict[int, Certificate] = {}
        self._above: dict[int, int] = {}
        self._seen = ""  # the highest name looked at
        self.newest: Certificate | None = None  # as `poll` found it last

    async def poll(self) -> bool:
        """Look for the newest: one listing, mostly. Whether there is another one than before.

        `ForkAlarm` when it takes back what the one before said.
        """
        found = await (self._newer() if self._seen else self._first())
        if found is None:
            return False
        before = self.newest
        if before is not None and found.epoch < before.epoch:
            raise ForkAlarm(
                f"{found.entry.name} has an earlier epoch than {before.entry.name}",
                hint="two keepers, or a forgery: read docs/runbooks/fork.md",
            )
        self.newest = found
        return True

    async def at(self, number: int) -> Certificate | None:
        """By number; None for what is none, or is junk."""
        kept = self._kept.get(number)
        if kept is None:
            data = await self._store.get(Register.REDACTIONS.entry_name(number))
            kept = _decoded(data, number)
            if kept is None or not self._is_ours(kept):
                return None
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[number] = kept
        return kept

    async def first_above(self, epoch: int) -> Certificate | None:
        """The first whose epoch is above that, of those up to the newest."""
        found = self.newest
        if found is None or found.epoch <= epoch:
            return None
        if (known := self._above.get(epoch)) is not None:
            return await self.at(known)
        low, high = (
            0,
            found.number,
        )  # below `low` none is above it; `found` is the first from `high`
        while low < high:
            middle = (low + high) // 2
            there = await self._from(middle, found)
            if there.epoch > epoch:
                found, high = there, middle
            else:
                low = there.number + 1
        self._above[epoch] = found.number
        return found

    async def below(self, number: int) -> Certificate | None:
        """The last one under a number."""
        while number > 0:
            number -= 1
            if (found := await self.at(number)) is not None:
                return found
        return None

    async def _from(self, number: int, end: Certificate) -> Certificate:
        """The first at or behind a number, `end` at the latest."""
        while number < end.number:
            if (found := await self.at(number)) is not None:
                return found
            number += 1
        return end

    async def _first(self) -> Certificate | None:
        if not await self._store.names(_FOLDER, limit=1):
            return None
        async for found in newest_first(self._store):
            self._seen = max(self._seen, found.entry.name)
            if self._is_ours(found):
                return found
        return None

    async def _newer(self) -> Certificate | None:
        names = await self._store.names(_FOLDER, after=self._seen)
        found = None
        for name in reversed(names):
            place = parse_entry_name(name)
            if place is not None and (found := await self.at(place[1])) is not None:
                break
        self._seen = max([self._seen, *names])
        return found

    def _is_ours(self, found: Certificate) -> bool:
        return found.entry.archive == self._archive and found.entry.is_signed(self._keys)

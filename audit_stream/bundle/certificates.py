"""The redaction certificates that can be an erased record's, proven as the record is.

Which one it is stands nowhere: with its request it would tell whose record this is. But a record
names the key epoch it was sealed under, by its segment, and a certificate the epochs it led from
and to; and epochs only rise along the register. So no clock is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from audit_stream.archive.opening import Closed
from audit_stream.archive.register import open_entry
from audit_stream.bundle.collect import prove
from audit_stream.bundle.facts import CertificateFact, Certified
from audit_stream.errors import FormatError
from audit_stream.evidence.redaction import redaction_of
from audit_stream.evidence.register import Entry, Register, RegisterHead
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.index.lookup import Revision
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.ports import WormStore

MOST_SHOWN = 100  # of a bundle
_REGISTER = Register.REDACTIONS
_HINT = "audit-stream verify says more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Epochs:
    """What a certificate must have led to: an epoch above one, and up to another."""

    above: int | None
    up_to: int | None


def epochs_of(revisions: Iterable[Revision]) -> Epochs | None:
    """Of the certificates that can be that of an erased record among these; None: none is erased.

    What was sealed with keys was erased by a later epoch's certificate; what came so late that it
    was archived without, by one of its own epoch or before.
    """
    erased = [each for each in revisions if each.closed is Closed.ERASED]
    sealed = [each.header.key_epoch for each in erased if not each.record.erased]
    if not erased:
        return None
    if sealed:
        return Epochs(above=min(sealed), up_to=None)
    return Epochs(above=None, up_to=max(each.header.key_epoch for each in erased))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Those that can be it have the numbers from `first` to below `next`."""

    first: int
    next: int
    entries: Sequence[Entry]  # the newest of them, oldest first
    stored: Mapping[str, bytes]  # their objects, by name


class CertificateFinder:
    """Looks in the register of one archive, as far as a log has it."""

    def __init__(self, store: WormStore, keys: TrustedKeys, archive: str) -> None:
        self._store, self._keys, self._archive = store, keys, archive
        self._stored: dict[str, bytes] = {}

    async def find(self, reached: RegisterHead | None, epochs: Epochs) -> Found:
        """The newest `MOST_SHOWN` at most, as far as a log has the register; None: nothing of it.
        `FormatError` when one is missing or another than its neighbours say; `StoreError`."""
        if reached is None:
            return Found(first=0, next=0, entries=(), stored={})
        end = reached.next
        first = 0 if epochs.above is None else await self._behind(epochs.above, end)
        behind = end if epochs.up_to is None else await self._behind(epochs.up_to, end)
        numbers = range(max(first, behind - MOST_SHOWN), behind)
        found = await asyncio.gather(*map(self._entry, numbers))
        entries = [entry for entry in found if entry is not None]
        chain = [await self._before(numbers.start), *entries]
        after = await self._at_or_behind(behind, end)
        _check_chain(chain, after, reached.leaf if behind == end else None)
        return Found(
            first=first, next=behind, entries=entries,
            stored={each.name: self._stored[each.name] for each in entries},
        )  # fmt: skip

    async def _behind(self, epoch: int, end: int) -> int:
        """The number from which on every certificate led to a later epoch."""
        low, high = 0, end
        while low < high:
            middle = (low + high) // 2
            entry = await self._at_or_behind(middle, high)
            if entry is None or redaction_of(entry).epochs[1] > epoch:
                high = middle
            else:
                low = entry.number + 1
        return low

    async def _at_or_behind(self, number: int, end: int) -> Entry | None:
        """The first that is no junk."""
        while number < end:
            if (entry := await self._entry(number)) is not None:
                return entry
            number += 1
        return None

    async def _before(self, number: int) -> Entry | None:
        """The last one before it that is no junk."""
        while number > 0:
            number -= 1
            if (entry := await self._entry(number)) is not None:
                return entry
        return None

    async def _entry(self, number: int) -> Entry | None:
        name = _REGISTER.entry_name(number)
        data = await self._store.get(name)
        if data is None:
            raise FormatError(f"the archive does not have {name}", hint=_HINT)
        self._stored[name] = data
        return open_entry(data, name, self._keys, self._archive)


def _check_chain(
    chain: Sequence[Entry | None], after: Entry | None, logged: bytes | None
) -> None:  # fmt: skip
    """From the entry before to the one after, or to the leaf that was logged last: what was changed
    is junk by now, and what stands beside it tells."""
    leaf = None
    for entry in [each for each in (*chain, after) if each is not None]:
        if entry is not chain[0] and entry.prev != leaf:
            raise FormatError(f"{entry.name} does not follow the entry before it", hint=_HINT)
        leaf = entry.leaf
    if after is None and leaf != logged:
        raise FormatError(
            f"{_REGISTER.folder} does not end with the entry that was logged last", hint=_HINT
        )


async def proven(
    found: Found, epochs: Epochs, places: Mapping[bytes, int], log: ArchiveLog, head: Head
) -> Certified:  # fmt: skip
    """With their proofs to `head`; `places`: where their leaves are in the log. `FormatError` when
    the log has others there."""
    shown = [
        await fact_of(each, found.stored[each.name], places, log, head) for each in found.entries
    ]
    return Certified(
        above=epochs.above, up_to=epochs.up_to, first=found.first, next=found.next, shown=shown
    )


async def fact_of(
    entry: Entry, stored: bytes, places: Mapping[bytes, int], log: ArchiveLog, head: Head
) -> CertificateFact:  # fmt: skip
    """An entry of a register with its proof to `head`. `FormatError` as `proven`."""
    place = places[entry.leaf]
    return CertificateFact(
        entry=entry, stored=stored, log_index=place,
        log_path=await prove(log, head, entry.leaf, place, entry.name),
    )  # fmt: skip

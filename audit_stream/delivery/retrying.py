"""Trying again what lies in ``audit-undeliverable``: the records as the archive has them, under the
keys they were first sent by.

An entry is done when its record is stored, when a newer entry says that it was rejected again, or
when its record was disposed of. Only then does the position pass it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

from audit_stream.archive.chain import Chain, Found, check_whole
from audit_stream.archive.streams import read_stream
from audit_stream.delivery.body import KeyForm, key_of
from audit_stream.delivery.courier import Courier
from audit_stream.delivery.lane import Keep
from audit_stream.delivery.parcel import Parcel, parcels
from audit_stream.delivery.retried import Retried, Retries
from audit_stream.delivery.undeliverable import Undeliverable, parse_undeliverable
from audit_stream.errors import FormatError
from audit_stream.evidence import layout
from audit_stream.evidence.layout import parse_segment_name
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.ports import WormStore

#: Partition, offset and value of entries, each partition's in order.
Entries = AsyncIterator[tuple[int, int, bytes]]


@dataclass(slots=True)
class Outcome:
    """How entries ended, counted."""

    stored: int = 0
    rejected: int = 0  # again: a newer entry says so
    disposed: int = 0  # nothing is left to send
    unreadable: int = 0  # entries that are none of ours


class RecordReader:
    """Finds an entry's record in the archive, and checks it as a deliverer does. Remembers the
    last segment."""

    def __init__(self, store: WormStore, keys: TrustedKeys, archive: str, courier: Courier) -> None:
        self._store, self._keys, self._archive = store, keys, archive
        self._courier = courier
        self._last: tuple[str, Mapping[int, Parcel]] | None = None

    async def of(self, entry: Undeliverable) -> Parcel | None:
        """The record, with the entry's key, which goes into a header and must be one of its own;
        None when it was disposed of. `FormatError`, `ForkAlarm`."""
        if self._last is None or self._last[0] != entry.segment:
            self._last = (entry.segment, await self._read(entry))
        records = self._last[1]
        if not records:
            return None
        if entry.offset not in records:
            raise FormatError(f"{entry.segment} has no record of offset {entry.offset}")
        found = records[entry.offset]
        if entry.key not in {key_of(found.record.pub, form) for form in KeyForm}:
            raise FormatError(f"the undeliverable entry of {found.key} has another record's key")
        return replace(found, key=entry.key)

    async def _read(self, entry: Undeliverable) -> Mapping[int, Parcel]:
        name = parse_segment_name(entry.segment)
        if name is None:
            raise FormatError("an undeliverable entry names no segment")
        stream_name = layout.stream_name(name.topic, name.generation)
        stream = await read_stream(self._store, self._keys, stream_name)
        at = await Chain(self._store, self._keys, stream, name.partition).at(name.base)
        if not isinstance(at, Found):
            raise FormatError(f"{entry.segment} is not in the archive")
        check_whole(at, self._archive)
        tags = await self._courier.fields.tags(at)
        return {each.offset: each for each in parcels(at, tags, KeyForm.SOURCE)}


async def retry(
    entries: Entries, retries: Retries, reader: RecordReader, courier: Courier, keep: Keep
) -> Outcome:
    """Try each entry of the courier's target once, in order, and move on behind it.

    Kept before the position passes: killed anywhere, an entry is tried again, or lies there twice.
    """
    outcome, places = Outcome(), dict[int, Retried]()
    async for partition, offset, value in entries:
        place = places.get(partition) or await retries.at(partition)
        refused = await _try(value, f"{partition}/{offset}", reader, courier, outcome)
        if refused is not None:
            await keep([refused])
        places[partition] = await retries.move(place, offset + 1)
    return outcome


async def _try(
    value: bytes, what: str, reader: RecordReader, courier: Courier, outcome: Outcome
) -> Undeliverable | None:
    """Count how one entry ended; its successor when it was rejected again."""
    try:
        entry = parse_undeliverable(value, f"the undeliverable entry {what}")
    except FormatError:
        outcome.unreadable += 1
        return None
    if entry.target != courier.target:
        return None
    parcel = await reader.of(entry)
    if parcel is None:
        outcome.disposed += 1
        return None
    refused = await courier.post(parcel)
    outcome.stored += refused is None
    outcome.rejected += refused is not None
    return refused

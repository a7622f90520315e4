"""What the archive says in clear of the records that a scan found, to be judged and certified.

A segment is read once for all tags in it, and nothing is taken from it before its signature and
the hash of its body were checked; each record is parsed and hashed anew.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson

from audit_stream.archive.ahead import in_flight
from audit_stream.archive.chain import Found
from audit_stream.erasure.scan import Hit
from audit_stream.erasure.segments import Segments
from audit_stream.errors import FormatError
from audit_stream.evidence.layout import SegmentName, leaf_prefix
from audit_stream.evidence.record import parse_record

_IN_FLIGHT = 4  # segments of some megabytes
_FIRST_RECORD_LINE = 3
_HASH_BYTES: Final = 32
#: A quote inside a JSON string has a backslash before it, so no value can look like this member.
_TENANT = re.compile(rb'"platform_tenant_id":("(?:[^"\\]|\\.)*")')


class Seen(NamedTuple):
    """What one record says in clear, as far as holds and certificates ask."""

    integrity_hash: bytes  # 32 bytes
    tenant: str
    message: str
    workflow: str
    source: str  # topic/generation/partition/offset
    ingested: str  # RFC 3339 with milliseconds
    status: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """One subject object's records; an orphan has none, for its segment was never stored."""

    hit: Hit
    segment: SegmentName | None  # None: an orphan
    records: Mapping[bytes, Sequence[Seen]] = field(repr=False)  # by tag, in the segment's order


#: Told of each record: its tag, what it says, the segment it is in.
Told = Callable[[bytes, Seen, SegmentName], None]


class Hashes:
    """Integrity hashes, kept as bytes, given in ascending order; 32 MB a million."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[int, bytearray] = {}  # by the first byte, so that sorting needs little

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values())) // _HASH_BYTES

    def __iter__(self) -> Iterator[bytes]:
        for _, bucket in sorted(self._buckets.items()):
            yield from sorted(
                bytes(bucket[i : i + _HASH_BYTES]) for i in range(0, len(bucket), _HASH_BYTES)
            )

    def add(self, integrity_hash: bytes) -> None:
        """Take one, 32 bytes."""
        self._buckets.setdefault(integrity_hash[0], bytearray()).extend(integrity_hash)


@dataclass(slots=True)
class Facts:
    """What there is of one subject."""

    hashes: Hashes = field(default_factory=Hashes)
    tenants: set[str] = field(default_factory=set)
    statuses: Counter[str] = field(default_factory=Counter)
    first: str | None = None  # `ingested` of the earliest record and of the latest
    last: str | None = None

    @property
    def records(self) -> int:
        """How many records are theirs."""
        return self.statuses.total()

    def add(self, seen: Seen) -> None:
        """Take one record; times of this form compare as texts."""
        self.hashes.add(seen.integrity_hash)
        self.tenants.add(seen.tenant)
        self.statuses[seen.status] += 1
        self.first = seen.ingested if self.first is None else min(self.first, seen.ingested)
        self.last = seen.ingested if self.last is None else max(self.last, seen.ingested)


async def sightings(segments: Segments, hits: AsyncIterable[Hit]) -> AsyncGenerator[Sighting, None]:
    """The records of each hit, in the order of the hits; some segments are read ahead.

    Raises as `Segments.at`, and `FormatError` when tags and records do not match or a record is not
    what was hashed: nothing is passed over. To be closed as a scan is.
    """

    async def read(hit: Hit) -> Sighting:
        found = await segments.at(hit.place)
        if found is None or leaf_prefix(found.segment.leaf) != hit.leaf:
            return Sighting(hit, None, {})
        return await asyncio.to_thread(_read, hit, found)

    async with aclosing(in_flight(hits, read, _IN_FLIGHT)) as read_ahead:
        async for sighting in read_ahead:
            yield sighting


def _read(hit: Hit, found: Found) -> Sighting:
    count = found.segment.header.count
    lines = found.segment.record_lines()
    if not hit.count == count == len(lines):
        raise FormatError(
            f"{hit.name} has {hit.count} tags, {found.name} {len(lines)} records and in its header "
            f"{count}"
        )
    name = str(found.name)
    records = {
        tag: [_seen(lines[index], name, index) for index in indexes]
        for tag, indexes in hit.found.items()
    }
    return Sighting(hit, found.name, records)


def _seen(line: bytes, name: str, index: int) -> Seen:
    record = parse_record(line, f"{name} line {index + _FIRST_RECORD_LINE}")
    pub = record.pub
    return Seen(
        record.integrity_hash, pub["platform_tenant_id"], pub["message_uuid"],
        pub["originating_workflow_id"], pub["source"], pub["ingestion_timestamp"],
        pub["delivery_status"],
    )  # fmt: skip


async def facts_of(
    found: AsyncIterable[Sighting], told: Told | None = None
) -> dict[bytes, Facts]:  # fmt: skip
    """Sum the sightings up by tag; who has no record is not in it. `told` is called of each record,
    to judge holds: records themselves are not kept."""
    facts: dict[bytes, Facts] = {}
    async for sighting in found:
        if sighting.segment is None:
            continue
        for tag, records in sighting.records.items():
            theirs = facts.setdefault(tag, Facts())
            for seen in records:
                theirs.add(seen)
                if told is not None:
                    told(tag, seen, sighting.segment)
    return facts


async def tenants_of(segments: Segments) -> list[str]:
    """The tenants that records of the archive name, sorted; every segment is read once.

    Raises as `Segments.every`: a tenant may be named in the one segment that is no use.
    """
    found: set[bytes] = set()
    async for each in segments.every():
        found |= await asyncio.to_thread(_tenants_in, each.segment.body)
    return sorted(map(orjson.loads, found))


def _tenants_in(body: bytes) -> set[bytes]:
    return set(_TENANT.findall(body))

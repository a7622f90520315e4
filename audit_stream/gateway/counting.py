"""Counting a person's records by the index, for the dry run of an erasure.

Who it is comes in as it was typed and stays in memory: what leaves are numbers, and tags for the
request. Records whose subject object is away are not counted; the erasure looks at the archive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from audit_stream.erasure.request import Found
from audit_stream.holds.active import RecordFact
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.lookup import Lookup
from audit_stream.index.rows import Tagged

TYPED = 0  # number of the spelling that was asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelt:
    """One spelling of who is asked for; `tags` by tenant, of every tree."""

    number: int
    reason: str
    tags: Mapping[str, Sequence[bytes]] = field(repr=False)
    chosen: bool  # to be erased


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is told of a spelling: never how it is spelt."""

    number: int
    reason: str
    records: int
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was found of somebody. `spellings`: the typed one, and others that have records."""

    found: Found
    spellings: Sequence[Told]
    tags: tuple[bytes, ...] = field(repr=False)  # of what is chosen
    holds: tuple[str, ...] = ()  # ids of those that stand against it
    holds_complete: bool = True  # every record was held against them


@dataclass(slots=True)
class _Count:
    records: int = 0
    first: Tagged | None = None
    last: Tagged | None = None

    def add(self, other: _Count) -> None:
        """Take another's records."""
        self.records += other.records
        firsts = [each for each in (self.first, other.first) if each is not None]
        lasts = [each for each in (self.last, other.last) if each is not None]
        self.first = min(firsts, key=Tagged.encode, default=None)
        self.last = max(lasts, key=Tagged.encode, default=None)


async def look(lookup: Lookup, index: ArchiveIndex, asked: Sequence[Spelt]) -> Looked:
    """Count them all. First and last are by the index: as the segments of their records are."""
    counts = await asyncio.to_thread(_counts, index, asked)
    told, total, tenants = list[Told](), _Count(), set[str]()
    for each in asked:
        records = 0
        for tenant, tags in each.tags.items():
            theirs = [counts[tag] for tag in tags]
            records += (sum_ := sum(count.records for count in theirs))
            if each.chosen and sum_:
                tenants.add(tenant)
        if records or each.number == TYPED:
            told.append(Told(number=each.number, reason=each.reason, records=records,
                             chosen=each.chosen))  # fmt: skip
    tags = tuple(dict.fromkeys(_chosen(asked)))
    for tag in tags:
        total.add(counts[tag])
    found = Found(
        records=total.records, tenants=tuple(sorted(tenants)),
        first=await _time(lookup, total.first), last=await _time(lookup, total.last),
        variants=sum(each.number != TYPED for each in told),
    )  # fmt: skip
    return Looked(found=found, spellings=told, tags=tags)


def _chosen(asked: Iterable[Spelt]) -> Iterator[bytes]:
    for each in asked:
        if each.chosen:
            for tags in each.tags.values():
                yield from tags


def _counts(index: ArchiveIndex, asked: Iterable[Spelt]) -> dict[bytes, _Count]:
    found: dict[bytes, _Count] = {}
    for each in asked:
        for tags in each.tags.values():
            for tag in tags:
                if tag not in found:
                    found[tag] = _count(index, tag)
    return found


def _count(index: ArchiveIndex, tag: bytes) -> _Count:
    count = _Count()
    for tagged, _ in index.tagged(tag, None):
        count.records += 1
        count.first = count.first or tagged
        count.last = tagged
    return count


async def _time(lookup: Lookup, tagged: Tagged | None) -> str | None:
    pub = None if tagged is None else await lookup.clear(tagged)
    return None if pub is None else str(pub["ingestion_timestamp"])


async def first_facts(
    lookup: Lookup, index: ArchiveIndex, tags: Iterable[bytes], most: int
) -> list[RecordFact]:
    """What holds ask of records: of at most so many, without those that were disposed of."""
    rows = (tagged for tag in tags for tagged, _ in index.tagged(tag, None))
    found = []
    for tagged in islice(rows, most):
        pub = await lookup.clear(tagged)
        if pub is not None:
            found.append(RecordFact(
                pub["message_uuid"], pub["originating_workflow_id"], pub["source"]
            ))  # fmt: skip
    return found

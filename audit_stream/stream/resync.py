"""Resync: on every assignment, bring the table up to the archive and find where to read on.

Segments between the table's applied marker and the archive's end are folded in; a raw topic that
cannot be the one the archive was made from stops its partition.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from audit_stream.archive.chain import Chain, Found, new_generation
from audit_stream.archive.fold import states_of
from audit_stream.errors import TopicError
from audit_stream.evidence import ledger
from audit_stream.evidence.segment import Segment, header_time
from audit_stream.seal.builder import Link
from audit_stream.stream.changelog import Pair
from audit_stream.stream.state import StateLog, StateTable

_FORGET_STEP = 50_000  # keys a transaction
#: Timestamp (ms) of the record at an offset of a partition, or None when the broker has none there.
TimestampAt = Callable[[str, int, int], Awaitable[int | None]]


class Resync:
    """Folds one partition's chain into the table."""

    def __init__(self, table: StateTable, changelog: StateLog) -> None:
        self._table = table
        self._changelog = changelog

    async def fold(self, chain: Chain) -> tuple[Link, Segment | None]:
        """Bring the table to the archive's end; that end, and the last segment if one was read."""
        found = await self._applied_segment(chain)
        link = chain.genesis if found is None else found.link
        last = None if found is None else found.segment
        async for following in chain.follow(link):
            last, link = following.segment, following.link
            states = states_of(last, str(following.name))
            changes = self._table.form.changes_of(last.header, last.leaf, states)
            await self._write(chain.partition, changes)
        return link, last

    async def _applied_segment(self, chain: Chain) -> Found | None:
        """The segment the table is at, if the archive really holds it; else the state goes."""
        topic, partition = chain.stream.topic, chain.partition
        applied = self._table.applied(partition, topic)
        if applied is None:
            return None
        if applied.stream == bytes.fromhex(chain.stream.stream):
            found = await chain.at(applied.base)
            if isinstance(found, Found) and found.segment.leaf == applied.leaf:
                return found
        await self._forget(topic, partition, applied.stream)
        return None

    async def _write(self, partition: int, pairs: Sequence[Pair]) -> None:
        offset = await self._changelog.write(partition, pairs)
        self._table.commit_batch(partition, pairs, offset)

    async def _forget(self, topic: str, partition: int, stream: bytes) -> None:
        """Remove a stream's states, the marker last: it is another generation's, or archive's."""
        keys = self._table.keys_of(partition, stream)
        while pairs := [(key, None) for key in islice(keys, _FORGET_STEP)]:
            await self._write(partition, pairs)
        await self._write(partition, [(self._table.form.applied_key(topic), None)])


async def check_same_topic(
    link: Link, last: Segment | None, end: int, chain: Chain, timestamp_at: TimestampAt
) -> None:
    """`TopicError` when the raw topic cannot be the one the archive was made from.

    Recreated topics show as an end below what is archived, or as another timestamp at the last
    archived record.
    """
    topic, partition = chain.stream.topic, chain.partition
    if end < link.next:
        raise TopicError(
            f"{topic}/{partition} ends at {end}, the archive goes to {link.next}: the topic was "
            "recreated or truncated",
            hint=new_generation(topic),
        )
    if last is None or last.header.last_ts is None:
        return
    offset = _last_present(last)
    stamp = await timestamp_at(topic, partition, offset)
    if stamp is not None and header_time(stamp) != last.header.last_ts:
        raise TopicError(
            f"{topic}/{partition} has another record at offset {offset} than was archived: the "
            "topic was recreated",
            hint=new_generation(topic),
        )


def _last_present(segment: Segment) -> int:
    """The last offset of a segment at which there was a record."""
    header = segment.header
    runs = ledger.decode(header.ledger, header.next - header.base)
    offset = header.next
    for count, letter in reversed(runs):
        if letter not in ledger.VOID_LETTERS:
            return offset - 1
        offset -= count
    raise TopicError(f"segment at {header.base} covers no record")

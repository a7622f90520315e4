"""Resync: on every assignment, bring the table up to the archive and find where to read on.

Segments between the table's applied marker and the archive's end are folded in; a raw topic that
cannot be the one the archive was made from stops its partition.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from audit_stream.archive.chain import Chain, Found
from audit_stream.archive.fold import states_of
from audit_stream.errors import TopicError
from audit_stream.evidence import ledger
from audit_stream.evidence.segment import Segment
from audit_stream.precedence.matrix import pack_state
from audit_stream.seal.builder import Link
from audit_stream.stream.changelog import ChangelogWriter
from audit_stream.stream.table import Applied, BatchStore, applied_key

_NEW_GENERATION = "start a new generation once you know why (docs/runbooks/raw-topic.md)"
#: Timestamp (ms) of the record at an offset of a partition, or None when the broker has none there.
TimestampAt = Callable[[str, int, int], Awaitable[int | None]]


class Resync:
    """Folds one partition's chain into the table."""

    def __init__(self, table: BatchStore, changelog: ChangelogWriter) -> None:
        self._table = table
        self._changelog = changelog

    async def fold(self, chain: Chain) -> tuple[Link, Segment | None]:
        """Bring the table to the archive's end; that end, and the last segment if one was read."""
        topic, partition = chain.stream.topic, chain.partition
        applied = await self._trusted_marker(chain)
        link, last = chain.genesis, None
        if applied is not None:
            before = await chain.at(applied.base)
            last = before.segment if isinstance(before, Found) else None
            leaf = applied.leaf.hex() if applied.leaf else None
            link = Link(next=applied.next, seq=applied.seq, leaf=leaf)
        async for found in chain.follow(link):
            last, link = found.segment, found.link
            states = states_of(found.segment, str(found.name))
            pairs = [(key, pack_state(state)) for key, state in states.items()]
            header = found.segment.header
            marker = Applied(
                header.generation, header.base, header.next, header.seq + 1, found.segment.leaf
            )
            pairs.append((applied_key(topic), marker.pack()))
            offset = await self._changelog.write(partition, pairs)
            self._table.commit_batch(partition, pairs, offset)
        return link, last

    async def _trusted_marker(self, chain: Chain) -> Applied | None:
        """The applied marker, if the archive really holds what it says; else the state goes."""
        topic, partition = chain.stream.topic, chain.partition
        applied = self._table.applied(partition, topic)
        if applied is None:
            return None
        if applied.generation == chain.stream.generation:
            found = await chain.at(applied.base)
            if isinstance(found, Found) and found.segment.leaf == applied.leaf:
                return applied
        await self._forget(topic, partition)
        return None

    async def _forget(self, topic: str, partition: int) -> None:
        """Remove a topic's states: they are of another generation, or of another archive."""
        pairs: list[tuple[bytes, bytes | None]] = [
            (key, None) for key in self._table.keys_of(partition, topic)
        ]
        pairs.append((applied_key(topic), None))
        offset = await self._changelog.write(partition, pairs)
        self._table.commit_batch(partition, pairs, offset)


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
            hint=_NEW_GENERATION,
        )
    if last is None or last.header.last_ts is None:
        return
    offset = _last_present(last)
    stamp = await timestamp_at(topic, partition, offset)
    if stamp is not None and stamp != last.header.last_ts:
        raise TopicError(
            f"{topic}/{partition} has another record at offset {offset} than was archived: the "
            "topic was recreated",
            hint=_NEW_GENERATION,
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

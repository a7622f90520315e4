"""A topic's next generation: what is broken, what would be recorded, and recording it.

A generation is one log of the broker: another topic under the name, another partition count or a
log that was cut back begins a new one, by an operator's word. The old chains are closed first, so
that no worker can add to what the new stream object says of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from audit_stream.app.checks import check_same
from audit_stream.app.now import now
from audit_stream.app.watch import Inspector
from audit_stream.archive.chain import Chain, Ended
from audit_stream.archive.streams import (
    end_chain,
    found_stream,
    new_stream_id,
    newest_stream,
)
from audit_stream.errors import TopicError
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.kafka.ask import TopicInfo, describe_topics, topic_ends
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.keys.file import LoadedKeyring
from audit_stream.ports import WormStore
from audit_stream.seal.builder import Link
from audit_stream.stream.resync import TimestampAt, check_same_topic


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionBreak:
    """One partition on both sides of the break; None where a side does not have it."""

    partition: int
    archived_next: int | None  # first offset the old generation does not cover
    log_start: int | None
    end: int | None
    continues: bool  # the broker still has the very log that was archived

    @property
    def genesis(self) -> int | None:
        """Where the new generation begins: where the old one ended, if it is the same log."""
        return self.archived_next if self.continues else self.log_start

    @property
    def lost(self) -> int:
        """Offsets that retention deleted unarchived, as far as can be known."""
        if not self.continues or self.archived_next is None or self.log_start is None:
            return 0
        return max(0, self.log_start - self.archived_next)

    @property
    def unarchived(self) -> int:
        """Offsets of the same log that are there and not archived: the new generation's first."""
        if not self.continues or self.archived_next is None or self.end is None:
            return 0
        return self.end - self.archived_next - self.lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """What a new generation of a topic would record."""

    before: StreamObject
    topic: TopicInfo
    partitions: tuple[PartitionBreak, ...]
    wrong: tuple[str, ...]  # why the old generation cannot go on; empty when it can

    @property
    def unarchived(self) -> int:
        """Offsets of the same log that are not archived yet."""
        return sum(partition.unarchived for partition in self.partitions)

    @property
    def lost(self) -> int:
        """Offsets known to be lost."""
        return sum(partition.lost for partition in self.partitions)

    @property
    def other_log(self) -> bool:
        """Whether what the old log held behind the archive cannot be known."""
        old = self.partitions[: self.before.partitions]
        return not all(partition.continues for partition in old)


async def survey(
    store: WormStore, ring: LoadedKeyring, connection: KafkaConnection, topic: str
) -> Break:
    """Compare the topic with its newest generation. Raises `TopicError` where there is none."""
    before = await newest_stream(store, ring.trusted, topic)
    if before is None:
        raise TopicError(
            f"{topic} has no generation in this archive",
            hint="the first worker that starts founds the first one",
        )
    info = (await describe_topics(connection, [topic])).get(topic)
    if info is None:
        raise TopicError(f"no such topic: {topic}", hint="run: audit-stream topics apply")
    ends = await topic_ends(connection, [topic])
    timestamp_at = Inspector(connection).timestamp_at if _one_topic(before, info) else None
    wrong = _topic_faults(before, info)
    partitions = []
    for partition in range(max(before.partitions, info.partitions)):
        start, end = ends.get((topic, partition), (None, None))
        link = fault = None
        if partition < before.partitions:
            chain = Chain(store, ring.trusted, before, partition)
            link, fault = await _judge(chain, end, timestamp_at, wrong)
        partitions.append(PartitionBreak(
            partition=partition, log_start=start, end=end,
            archived_next=None if link is None else link.next,
            continues=link is not None and fault is None,
        ))  # fmt: skip
    return Break(before=before, topic=info, partitions=tuple(partitions), wrong=tuple(wrong))


def _one_topic(before: StreamObject, info: TopicInfo) -> bool:
    """Whether the ids are the same, as far as both are known."""
    return not (before.topic_id and info.topic_id) or before.topic_id == info.topic_id


def _topic_faults(before: StreamObject, info: TopicInfo) -> list[str]:
    try:
        check_same(before, info.partitions, info.topic_id)
    except TopicError as error:
        return [error.message]
    return []


async def _judge(
    chain: Chain, end: int | None, timestamp_at: TimestampAt | None, wrong: list[str]
) -> tuple[Link, str | None]:
    """Where an old chain ends, and why the broker's log is not the one that was archived.

    `timestamp_at` is None for another topic, whose records need not be looked at.
    """
    last, at = await chain.tip()
    link = chain.behind(last)
    if isinstance(at, Ended):
        wrong.append(f"{chain.name} was ended, and the next generation was never begun")
    if end is None or timestamp_at is None:
        return link, "there is another topic, or no such partition, under the name"
    try:
        segment = None if last is None else last.segment
        await check_same_topic(link, segment, end, chain, timestamp_at)
    except TopicError as error:
        wrong.append(error.message)
        return link, error.message
    return link, None


def check_needed(found: Break, *, force: bool, accept_unarchived: bool) -> None:
    """Refuse a generation nobody needs, and one that comes too early, unless told."""
    topic = found.topic.name
    if not found.wrong and not force:
        raise TopicError(
            f"nothing is wrong with {topic}: it is the topic that generation "
            f"{found.before.generation} was founded on",
            hint="--force begins another generation all the same",
        )
    if found.unarchived and not accept_unarchived:
        raise TopicError(
            f"{found.unarchived} records of {topic} are not archived yet",
            hint="if its workers can still run, let them finish first; --accept-unarchived puts "
            "these records into the new generation",
        )


async def begin(
    store: WormStore, ring: LoadedKeyring, found: Break, reason: str
) -> tuple[StreamObject, bool]:
    """Close the old chains, then found the next generation; and whether it is ours.

    Two at once: the first to put the stream object wins, and both find the same chains.
    """
    before, ended_at = found.before, now()
    ended = [
        await end_chain(store, ring.signer, Chain(store, ring.trusted, before, partition), ended_at)
        for partition in range(before.partitions)
    ]
    genesis = []
    for partition in found.partitions[: found.topic.partitions]:
        # Behind what a worker may have archived since the survey.
        begins = ended[partition.partition].next if partition.continues else partition.log_start
        assert begins is not None
        genesis.append(begins)
    mine = new_stream_id()
    stream = await found_stream(
        store, ring.signer, ring.trusted, archive=before.archive, topic=before.topic,
        genesis=genesis, topic_id=found.topic.topic_id, generation=before.generation + 1,
        reason=reason, ended=ended, stream=mine,
    )  # fmt: skip
    return stream, stream.stream == mine

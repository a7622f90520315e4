"""How far rekeyed topics are copied to their twins, and what that says of a twin's archive.

Partitions are copied one by one, each when its turn comes, with the times of the originals. So no
later record of a twin, and no end of it, shows by itself that nothing earlier will follow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from audit_stream.app.checks import topic_faults
from audit_stream.archive.chain import Chain
from audit_stream.archive.streams import newest_stream
from audit_stream.errors import BrokerError, TopicError
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.kafka.ask import committed_by, topic_ends
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.losses import Losses, with_lost
from audit_stream.ports import WormStore
from audit_stream.seal.judge import REKEYED
from audit_stream.settings import Settings

Place = tuple[str, int]  # topic, partition
_POLL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Copied:
    """One partition of a rekeyed topic."""

    end: int  # the broker's
    done: int  # every offset below it is copied, or gone
    losses: Losses | None = None

    @property
    def to_come(self) -> int:
        """Offsets not copied yet."""
        return max(0, self.end - self.done)

    def reaches(self, end: int) -> bool:
        """Whether what lay below an earlier end is copied."""
        return self.done >= end or not self.to_come


@dataclass(frozen=True, slots=True)
class TwinShown:
    """How far a twin's archive has to be for a period to be over in it."""

    #: (generation, partition) -> that offset, twice: as a digest says it of other topics.
    reached: Mapping[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    lost: Mapping[Place, Losses] = field(default_factory=dict)  # before it was copied
    why: str = ""  # it cannot be said yet


def raw_of_twin(topic: str) -> str | None:
    """The topic that a rekeyed one has the records of; None of any other topic."""
    raw = topic.removesuffix(REKEYED)
    return None if raw == topic else raw


async def copied(
    connection: KafkaConnection, app_id: str, topics: Sequence[str]
) -> dict[Place, Copied]:
    """Every partition of rekeyed topics. `BrokerError`, `TopicError`."""
    if not topics:
        return {}
    committed = await committed_by(connection, app_id)
    # Asked behind it: what is copied meanwhile is no offset of another topic.
    ends = await topic_ends(connection, topics)
    return {
        place: copied_of(start, end, *committed.get(place, (start, "")))
        for place, (start, end) in ends.items()
    }


def copied_of(start: int, end: int, done: int, text: str) -> Copied:
    """Of the broker's log start and end, and of what the group committed."""
    if done > end:  # another topic's: all of that one is copied
        done, text = start, ""
    return Copied(end, max(start, done), with_lost(Losses.read(text), done, start))


async def shown_by_copying(
    settings: Settings, store: WormStore, keys: TrustedKeys, topic: str, stop_ms: int, wait: float
) -> TwinShown:
    """Of a twin: where its archive has to be. With `wait`, until it is there or that is over."""
    raw, stream = raw_of_twin(topic), await newest_stream(store, keys, topic)
    assert raw is not None
    if stream is None:
        return TwinShown()
    if time.time() * 1000 < stop_ms:
        return TwinShown(why="the period is not over")
    deadline = time.monotonic() + wait
    connection = KafkaConnection.from_settings(settings)
    try:
        found = await _copied_by(connection, settings.app_id, raw, deadline)
        lost = {place: each.losses for place, each in found.now.items() if each.losses}
        if found.to_come:
            return TwinShown(lost=lost, why=f"{found.to_come} offsets of {raw} are not copied yet")
        if lost:
            return TwinShown(lost=lost)
        if faults := await topic_faults(connection, {topic: stream}):
            return TwinShown(why=str(faults[topic]))
        ends = await topic_ends(connection, [topic])
    except (BrokerError, TopicError) as error:
        return TwinShown(why=str(error))
    wanted = {partition: ends[topic, partition][1] for partition in range(stream.partitions)}
    await _archived(store, keys, stream, wanted, deadline)
    return TwinShown({(stream.generation, each): (end, end) for each, end in wanted.items()})


@dataclass(frozen=True, slots=True)
class Looked:
    """By partition, what lay in a topic when it was first looked at, and what is copied now."""

    first: Mapping[Place, Copied]
    now: Mapping[Place, Copied]

    @property
    def to_come(self) -> int:
        """Offsets of then that are not copied yet."""
        ends = {place: self.first.get(place, each).end for place, each in self.now.items()}
        return sum(
            min(each.end, ends[place]) - each.done
            for place, each in self.now.items() if not each.reaches(ends[place])
        )  # fmt: skip


async def _copied_by(connection: KafkaConnection, app_id: str, raw: str, deadline: float) -> Looked:
    first = await copied(connection, app_id, [raw])
    found = Looked(first, first)
    while found.to_come and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_SECONDS)
        found = Looked(first, await copied(connection, app_id, [raw]))
    return found


async def _archived(
    store: WormStore, keys: TrustedKeys, stream: StreamObject, wanted: Mapping[int, int],
    deadline: float,
) -> None:  # fmt: skip
    """Wait for the archive to be there; whoever reads it then sees how far it is."""
    left = {partition: Chain(store, keys, stream, partition) for partition in wanted}
    while time.monotonic() < deadline:
        for partition, chain in [*left.items()]:
            if chain.behind(await chain.last()).next >= wanted[partition]:
                del left[partition]
        if not left:
            return
        await asyncio.sleep(_POLL_SECONDS)

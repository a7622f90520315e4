"""The lanes of a worker: opened over the assigned partitions, stored, taken over, dropped.

assignment   -> positions(): resync from the archive, seek
storing task -> Storing:  subject, quarantine, segment, changelog, table, ack
key epoch    -> adopt(): every lane ends and begins anew under the new keys
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from faust.tables.recovery import RebalanceAgain
from faust.types import TP

from audit_stream.archive.chain import Chain
from audit_stream.errors import (
    AuditError,
    BrokerError,
    Fenced,
    KeyringError,
    Superseded,
    TopicError,
    UnknownVersion,
)
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.privacy.subjects import KeyDeriver
from audit_stream.seal.builder import Link
from audit_stream.stream.changelog import ChangelogWriter
from audit_stream.stream.context import Context
from audit_stream.stream.lane import Lane
from audit_stream.stream.process import (
    EXIT_CANNOT_JUDGE,
    EXIT_FENCED,
    EXIT_INTERNAL,
    is_cancelled,
)
from audit_stream.stream.resync import Resync, TimestampAt, check_same_topic
from audit_stream.stream.storing import Outdated, Overtaken, Storing
from audit_stream.stream.table import BatchStore
from audit_stream.stream.transport import BatchConsumer

log = logging.getLogger(__name__)
Place = tuple[str, int]


class Lanes:
    """All lanes of one worker, and what they are opened with."""

    def __init__(
        self, context: Context, streams: Mapping[str, StreamObject], changelog: ChangelogWriter,
        timestamp_at: TimestampAt,
    ) -> None:  # fmt: skip
        self.context = context
        self.lanes: dict[Place, Lane] = {}
        self._streams = streams
        self._changelog = changelog
        self._timestamp_at = timestamp_at
        self._tasks: dict[Place, asyncio.Task[None]] = {}
        self._keys: dict[str, KeyDeriver] = {}
        self._drops = 0  # how often all work was dropped
        self._consumer: BatchConsumer | None = None
        self._table: BatchStore | None = None

    def attach(self, consumer: BatchConsumer, table: BatchStore) -> None:
        """Connect to Faust's consumer and table, once both exist."""
        self._consumer, self._table = consumer, table
        consumer.find_positions = self.positions
        consumer.drop_work = self.drop

    @property
    def consumer(self) -> BatchConsumer:
        """Faust's consumer."""
        assert self._consumer is not None
        return self._consumer

    async def lag(self) -> dict[Place, tuple[int, int | None]]:
        """Broker end minus stored offset of each lane, and the oldest unstored record's time (ms).

        Negative when the broker has less than is archived. The time is that of the last archived
        record: what came after it is younger.
        """
        # Taken before the broker is asked: what is archived meanwhile is no end that went back.
        lanes = {TP(*key): (lane.link.next, lane.last_ts) for key, lane in self.lanes.items()}
        ends = await self.consumer.highwaters(*lanes) if lanes else {}
        return {
            (tp.topic, tp.partition): (end - archived, last)
            for tp, (archived, last) in lanes.items()
            if (end := ends.get(tp)) is not None
        }

    def stopped(self) -> set[Place]:
        """The archived partitions of this worker that are stopped until an operator acts."""
        return {
            (tp.topic, tp.partition) for tp in self.consumer.halted if tp.topic in self._streams
        }

    # -- assignment

    async def positions(self, assigned: set[Any]) -> dict[Any, int]:
        """Resync the assigned raw partitions; where each goes on. Stopped ones are left out.

        `RebalanceAgain` when another assignment came meanwhile, which begins anew.
        """
        self.drop()
        drops = self._drops
        tps = [tp for tp in assigned if tp.topic in self._streams]
        ends = await self._ends(tps)
        results = await asyncio.gather(
            *(self._position(tp, ends.get(tp) or 0, "assignment", drops) for tp in tps)
        )
        return {tp: at for tp, at in zip(tps, results, strict=True) if at is not None}

    async def _ends(self, tps: list[Any]) -> Mapping[Any, int | None]:
        while True:
            try:
                ends: Mapping[Any, int | None] = await self.consumer.highwaters(*tps)
                return ends
            except TimeoutError:
                log.warning("waiting for the leaders of %d partitions", len(tps))

    async def _position(self, tp: Any, end: int | None, reason: str, drops: int) -> int | None:
        """Where a partition goes on; None where it is stopped."""
        try:
            return await self._open_lane(tp, end, reason, drops)
        except AuditError as error:
            self._check_ours(drops)
            await self._cannot_open(tp, error)
            return None

    def _check_ours(self, drops: int) -> None:
        """Who lost its partitions meanwhile opens nothing, and its errors say nothing."""
        if drops != self._drops:
            raise RebalanceAgain

    async def _cannot_open(self, tp: Any, error: AuditError) -> None:
        if isinstance(error, TopicError):
            self._stop(tp, str(error), "raw-topic")
        elif isinstance(error, Fenced | Superseded):
            self.context.die(EXIT_FENCED, f"{error.code}: {error}")
        elif isinstance(error, UnknownVersion):
            await self._cannot_judge(tp, error)
        else:
            self.context.die(EXIT_INTERNAL, f"{error.code}: {tp.topic}/{tp.partition}: {error}")

    async def _open_lane(self, tp: Any, end: int | None, reason: str, drops: int) -> int:
        assert self._table is not None
        stream = self._streams[tp.topic]
        chain = Chain(self.context.store, self.context.trusted, stream, tp.partition)
        link, last = await Resync(self._table, self._changelog).fold(chain)
        # The context is never held over an await: `adopt` may come, and lets go of its keys.
        if last is not None and last.header.key_epoch > self.context.origin.key_epoch:
            raise KeyringError(
                f"the archive has the key epoch {last.header.key_epoch}, this process "
                f"{self.context.origin.key_epoch}",
                hint="it starts again with the newest keyring; see that AUDIT_KEYRING is kept new",
            )
        await chain.check_open(link)
        if end is not None:
            if end < link.next:  # asked before the fold, in which a former owner's last put may lie
                end = (await self._ends([tp])).get(tp) or 0
            await check_same_topic(link, last, end, chain, self._timestamp_at)
        self._check_ours(drops)
        self.context.metrics.resyncs_total.labels(reason).inc()
        self._start_lane(tp, stream, link, chain)
        if last is not None:
            self.lanes[tp.topic, tp.partition].last_ts = last.header.last_ts
        return link.next

    def _start_lane(self, tp: Any, stream: StreamObject, link: Link, chain: Chain) -> None:
        assert self._table is not None
        lane = Lane(
            self.context,
            stream,
            tp.partition,
            link,
            self._table.getter(tp.partition),
            self._keys_of(stream),
        )
        storing = Storing(lane, chain, self._table, self._changelog, self._ack)
        key = (tp.topic, tp.partition)
        self.lanes[key] = lane
        self._tasks[key] = asyncio.create_task(self._store(tp, storing), name=f"store {lane.name}")

    def _keys_of(self, stream: StreamObject) -> KeyDeriver:
        """The stream's deriver: keys do not depend on the partition, so its lanes share them."""
        if stream.topic not in self._keys:
            context = self.context
            self._keys[stream.topic] = KeyDeriver(
                context.keyring, context.cover, bytes.fromhex(stream.stream)
            )
        return self._keys[stream.topic]

    async def adopt(self, context: Context) -> None:
        """Go on under the keys of another context; on return nothing here holds the old ones.

        Lanes end after the store step that they are at, as far as no rebalance cuts them off, and
        begin again behind what is stored: a segment never mixes key epochs.
        """
        self.context = context  # what is opened from now on, by a rebalance too, has the new keys
        derivers, self._keys = self._keys, {}
        drops = self._drops
        old: set[Place] = set()
        while stale := {key for key, lane in self.lanes.items() if lane.context is not context}:
            old |= stale
            for key in stale:
                self.lanes.pop(key).drop()
            tasks = {key: self._tasks[key] for key in stale if key in self._tasks}
            # They stay where a rebalance finds them: it cancels one whose step does not end.
            await asyncio.gather(*tasks.values(), return_exceptions=True)
            self._tasks = {k: t for k, t in self._tasks.items() if tasks.get(k) is not t}
        for deriver in derivers.values():  # no lane judges with them any more
            deriver.wipe()
        if drops == self._drops:  # else a rebalance opens all of them
            await self._reopen_all(old)

    async def _reopen_all(self, keys: set[Place]) -> None:
        """Each in the place of its lane's task: a rebalance cancels it, and opens it itself."""
        assigned = set(self.consumer.assignment())
        tps = [TP(*key) for key in keys if key not in self.lanes and TP(*key) in assigned]
        for tp in tps:
            self._tasks[tp.topic, tp.partition] = asyncio.create_task(
                self._reopen(tp, "key-epoch"), name=f"reopen {tp.topic}/{tp.partition}"
            )
        tasks = [self._tasks[tp.topic, tp.partition] for tp in tps]
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    async def _reopen(self, tp: Any, reason: str) -> None:
        """Open a lane anew behind what is stored, and read on from there."""
        at = await self._position(tp, None, reason, self._drops)
        if at is not None:  # at once: a batch from before must not come to the new lane
            await self.consumer.reseek({tp: at})

    def drop(self) -> None:
        """Drop all that is not stored. Never waits: store steps end at their next check."""
        self._drops += 1
        for lane in self.lanes.values():
            lane.drop()
        for task in self._tasks.values():
            task.cancel()
        self.lanes.clear()
        self._tasks.clear()

    def stop(self, topic: str, partition: int, message: str) -> None:
        """Stop a partition whose raw topic is not what it was; what is not stored is dropped."""
        lane = self.lanes.pop((topic, partition), None)
        task = self._tasks.pop((topic, partition), None)
        if lane is not None and task is not None:
            lane.drop()
            task.cancel()
        self._stop(TP(topic, partition), message, "raw-topic")

    def _stop(self, tp: Any, message: str, kind: str) -> None:
        """Stop one partition until an operator acts; the others go on."""
        log.error("%s/%s stopped: %s", tp.topic, tp.partition, message)
        self.consumer.halted.add(tp)
        self.consumer.forget([tp])  # what waits of it would be judged, or fill the memory budget
        self.context.alerts.raise_alarm(f"{kind}:{tp.topic}/{tp.partition}", message)

    async def _cannot_judge(self, tp: Any, error: UnknownVersion) -> None:
        """A newer release goes on with the partition: what it wrote cannot be followed here."""
        for lane in self.lanes.values():
            lane.drop()  # the other partitions, too, are those of who comes next
        await self.context.leave()
        place = f"{tp.topic}/{tp.partition}"
        self.context.alerts.raise_alarm(f"unknown-version:{place}", str(error))
        self.context.die(EXIT_CANNOT_JUDGE, f"{error.code}: {place}: {error}")

    # -- storing

    def _ack(self, lane: Lane, offset: int) -> None:
        self.consumer.ack_until(TP(lane.stream.topic, lane.partition), offset)

    async def _store(self, tp: Any, storing: Storing) -> None:
        try:
            await storing.run()
        except asyncio.CancelledError:
            if not is_cancelled():  # what it waited for was, and nobody would store from here on
                self.context.die(EXIT_INTERNAL, f"storing {tp.topic}/{tp.partition} was cut off")
            raise
        except Overtaken as winner:
            await self._after_overtaken(tp, winner)
        except Outdated:
            storing.lane.drop()  # `adopt` opens it anew
            self.context.outdated()
        except AuditError as error:
            if not (isinstance(error, BrokerError | Superseded) and is_cancelled()):
                await self._cannot_store(tp, error)
            # else a rebalance cut it off, and the next owner was quick: that is no fault
        except Exception:
            log.exception("storing %s/%s failed", tp.topic, tp.partition)
            self.context.die(
                EXIT_INTERNAL, f"unexpected failure while storing {tp.topic}/{tp.partition}"
            )

    async def _cannot_store(self, tp: Any, error: AuditError) -> None:
        if isinstance(error, Fenced | Superseded):
            self.context.die(EXIT_FENCED, f"{error.code}: {error}")
        elif isinstance(error, UnknownVersion):
            await self._cannot_judge(tp, error)
        elif isinstance(error, TopicError):
            self.stop(tp.topic, tp.partition, str(error))
        else:
            self.context.alerts.raise_alarm(f"{error.code}:{tp.topic}/{tp.partition}", str(error))
            self.context.die(EXIT_INTERNAL, f"{error.code}: {error}")

    async def _after_overtaken(self, tp: Any, winner: Overtaken) -> None:
        log.warning("another writer stored %s first; starting again behind it", winner)
        key = (tp.topic, tp.partition)
        lane = self.lanes.pop(key, None)
        if lane is None:
            return
        lane.drop()
        await self._reopen(tp, "overtaken")

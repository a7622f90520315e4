"""Tailing the archive to a receiver: every stream there is, its partitions in turns.

Only what is stored is sent: a segment that a trusted key signed, that continues its chain and holds
what its header says. One that does not is the fork alarm, and its partition is delivered no
further. Of a topic's generations the next one begins when the one before has been delivered.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Mapping

from audit_stream.archive.chain import Chain
from audit_stream.archive.streams import read_stream
from audit_stream.delivery.lane import Lane, Work
from audit_stream.delivery.position import Position
from audit_stream.errors import AuditError, ForkAlarm, FormatError, UnknownVersion
from audit_stream.evidence import layout
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.ports import Alerts, WormStore

log = logging.getLogger(__name__)
_STREAMS = "streams/"
_OPEN = 4  # partitions at work at once, each with a segment of some megabytes


class Deliverer:
    """Follows an archive; `catch_up` may be called as often as one likes, one at a time."""

    def __init__(self, store: WormStore, keys: TrustedKeys, work: Work, alarms: Alerts) -> None:
        self._store, self._keys, self._work, self._alarms = store, keys, work, alarms
        self._streams: dict[str, StreamObject] = {}
        self._lanes: dict[tuple[str, int], list[Lane]] = {}  # topic, generation: by partition
        self._stopped: dict[str, None] = {}

    @property
    def lanes(self) -> list[Lane]:
        """Of every partition that was met."""
        return [lane for lanes in list(self._lanes.values()) for lane in lanes]

    @property
    def stopped(self) -> Collection[str]:
        """What is delivered no further: ``topic/generation/partition``, or a stream object."""
        return list(self._stopped)

    async def catch_up(self) -> bool:
        """Give each partition a turn, and those that have more another one for as long as a first
        one lasts: a post that comes to no end holds up its partition and no other. Whether any
        partition may have more.

        `AuditError` when a store, the broker or the receiver fails for longer than they are waited
        for: what was settled until then is kept.
        """
        await self._open_new()
        queue = deque(lane for lane in self.lanes if self._may_go_on(lane))
        first, busy = set(queue), False  # turns that are not over

        async def work() -> None:
            nonlocal busy
            while queue and not self._work.stopping.is_set():
                lane = queue.popleft()
                more = await self._turn(lane)
                first.discard(lane)
                busy = busy or more  # read behind the `await`: what others found stays
                if more and first and self._may_go_on(lane):
                    queue.append(lane)

        workers = [asyncio.ensure_future(work()) for _ in range(min(_OPEN, len(queue)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return busy

    def lag_seconds(self, now_ms: float) -> Mapping[str, float]:
        """By topic, the age of the oldest segment at work or waiting to be; 0 where none is. `now`
        is Unix ms."""
        found: dict[str, float] = {}
        for lane in self.lanes:
            age = 0.0 if lane.oldest_ms is None else max(0.0, now_ms - lane.oldest_ms) / 1000
            found[lane.position.topic] = max(age, found.get(lane.position.topic, 0.0))
        return found

    async def lag_offsets(self) -> Mapping[str, int]:
        """By topic, how many offsets stored segments cover behind the positions."""
        found: dict[str, int] = {}
        for lane in self.lanes:
            last = await lane.chain.last()
            behind = 0 if last is None else max(0, last.link.next - lane.position.settled)
            found[lane.position.topic] = found.get(lane.position.topic, 0) + behind
        return found

    async def _open_new(self) -> None:
        for name in await self._store.names(_STREAMS):
            if name not in self._streams and name not in self._stopped:
                try:
                    await self._open(name)
                except UnknownVersion:
                    raise
                except FormatError as error:
                    self._stop(name, name, error)

    async def _open(self, name: str) -> None:
        stream = await read_stream(self._store, self._keys, name)
        if name != layout.stream_name(stream.topic, stream.generation):
            raise FormatError(f"{name} says it is {stream.topic}/{stream.generation}")
        lanes = []
        for partition in range(stream.partitions):
            begin = Position.begin(self._work.courier.target, stream, partition)
            position = await self._work.positions.open(begin)
            lanes.append(
                Lane(self._work, Chain(self._store, self._keys, stream, partition), position)
            )
        self._streams[name] = stream
        self._lanes[stream.topic, stream.generation] = lanes

    def _may_go_on(self, lane: Lane) -> bool:
        if lane.ended or str(lane) in self._stopped:
            return False
        stream = lane.chain.stream
        if stream.ended is None:  # nothing was before it, or nothing that is here
            return True
        before = self._lanes.get((stream.topic, stream.generation - 1), ())
        return all(each.ended or str(each) in self._stopped for each in before)

    async def _turn(self, lane: Lane) -> bool:
        try:
            more = await lane.turn()
        except UnknownVersion:
            raise
        except (ForkAlarm, FormatError) as error:
            place = f"{lane.chain.stream.topic}/{lane.chain.partition}"
            self._stop(str(lane), place, error)
            more = False
        stream = lane.chain.stream
        next_one = (stream.topic, stream.generation + 1)
        return more or (not self._may_go_on(lane) and next_one in self._lanes)

    def _stop(self, what: str, place: str, error: AuditError) -> None:
        if what not in self._stopped:
            self._stopped[what] = None
            self._alarms.raise_alarm(f"fork:{place}", f"delivered no further: {error}")

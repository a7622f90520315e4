"""One run of one contender, under one clock for all.

The clock: a contender is started, its members join the group, and it works through the warm-up part
of the stream, so that every partition is served and code is compiled. It is then frozen (SIGSTOP),
the timed part is written to the raw topic, and the clock runs from the moment the contender is
thawed, with all events waiting, until the last rise stands durably where it belongs: for a peer in
the output topic, acknowledged by the broker; for ours in the archive, with every offset covered.
Start-up counts for nobody, and nobody has work in flight when the clock starts.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bench.contenders import Contender, Run
from bench.effects import Effect
from bench.load import Load, create_topics, delete_topics, group_members, open_admin, write
from bench.processes import Fleet, RunFailed

_POLL_SECONDS = 0.02
_SETTLE_SECONDS = 1.5  # after the warm-up, for commits and compactions under way
_STALL_LIMIT_SECONDS = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one run gave."""

    contender: str
    events: int
    seconds: float
    start_seconds: float  # from launch until the warm-up was done; not part of the rate
    cpu_seconds: float  # of the contender's processes, while the clock ran
    peak_rss_bytes: int  # the most of any one process, over the whole run

    @property
    def events_per_second(self) -> float:
        """The rate."""
        return self.events / self.seconds


async def measure(
    contender: Contender,
    load: Load,
    run: Run,
    *,
    afterwards: Callable[[Run], Awaitable[None]] | None = None,
) -> Result:
    """Run once and clean up. Raises RunFailed when it ends, stands still or is wrong.

    `afterwards` gets the run once it is checked, with its topics and folder still there.
    """
    run.folder.mkdir(parents=True)
    fleet: Fleet | None = None
    try:
        await create_topics(run.bootstrap, [run.raw_topic, run.output_topic], run.partitions)
        await asyncio.to_thread(contender.prepare, run)
        fleet = Fleet(contender.commands(run))
        async with contender.effect(run) as effect:
            result = await _timed(contender, load, run, fleet, effect)
            await asyncio.to_thread(fleet.stop)
            await effect.check(load.rises)
        if afterwards is not None:
            await afterwards(run)
        return result
    finally:
        if fleet is not None:
            await asyncio.to_thread(fleet.stop)
        await delete_topics(run.bootstrap, run.name)
        shutil.rmtree(run.folder)


async def _timed(
    contender: Contender, load: Load, run: Run, fleet: Fleet, effect: Effect
) -> Result:
    warm = len(load.warmup.rises)
    launched = time.perf_counter()
    fleet.start()
    await _wait_joined(run, fleet)
    await write(run.bootstrap, run.raw_topic, load.warmup)
    await _wait(effect, warm, fleet)
    ready = time.perf_counter()
    await asyncio.sleep(_SETTLE_SECONDS)
    fleet.freeze()
    await write(run.bootstrap, run.raw_topic, load.timed)
    used = fleet.cpu_seconds()
    started = time.perf_counter()
    fleet.thaw()
    await _wait(effect, warm + len(load.timed.rises), fleet)
    ended = time.perf_counter()
    return Result(
        contender=contender.name,
        events=load.timed.events,
        seconds=ended - started,
        start_seconds=ready - launched,
        cpu_seconds=fleet.cpu_seconds() - used,
        peak_rss_bytes=fleet.peak_rss_bytes,
    )


async def _wait_joined(run: Run, fleet: Fleet) -> None:
    """Until the consumer group, which is named after the run, has all its members and is stable."""
    deadline = time.perf_counter() + _STALL_LIMIT_SECONDS
    async with open_admin(run.bootstrap) as admin:
        while await group_members(admin, run.name) != run.members:
            if time.perf_counter() > deadline:
                raise RunFailed(f"the group has not formed\n{fleet.tails()}")
            fleet.watch()
            await asyncio.sleep(_POLL_SECONDS)


async def _wait(effect: Effect, rises: int, fleet: Fleet) -> None:
    """Until exactly `rises` are out and the effect is complete."""
    last, moved = 0, time.perf_counter()
    while True:
        count = await effect.count()
        if count >= rises and await effect.complete():
            break
        now = time.perf_counter()
        if count != last:
            last, moved = count, now
        if now - moved > _STALL_LIMIT_SECONDS:
            raise RunFailed(f"no progress: {count} of {rises} rises\n{fleet.tails()}")
        fleet.watch()
        await asyncio.sleep(effect.poll_seconds)
    if count > rises:
        raise RunFailed(f"{count - rises} rises too many")


def in_alternation(contenders: Sequence[Contender], rounds: int) -> list[list[Contender]]:
    """The order of each round: everybody once, the first of one round being last in the next."""
    return [
        [*contenders[shift:], *contenders[:shift]]
        for shift in (number % len(contenders) for number in range(rounds))
    ]

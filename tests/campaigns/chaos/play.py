"""Playing a schedule: traffic in chunks, and what happens behind each."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from audit_stream.app.places import archive_reader
from audit_stream.cli.reconcile import cover
from audit_stream.errors import AuditError
from tests.campaigns.chaos import actions, hands
from tests.campaigns.chaos.rawlog import RawLogs
from tests.campaigns.chaos.schedule import Action
from tests.campaigns.chaos.sender import Sender
from tests.campaigns.chaos.site import PARTITIONS, Site
from tests.campaigns.chaos.traffic import Traffic
from tests.campaigns.chaos.witness import Witness
from tests.support.eventually import eventually

#: Generous: a loaded machine is no violation, what never settles is.
SETTLE_SECONDS = 300.0
_PACE_SECONDS = 3.0


@dataclass
class Play:
    """A schedule under way; what the judge needs to know of it afterwards."""

    site: Site
    cluster: Any
    network: Any
    say: Callable[[str], None]
    traffic: Traffic = field(init=False)
    sender: Sender = field(init=False)
    witness: Witness = field(init=False)
    raw: RawLogs = field(init=False)
    locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    under_way: list[asyncio.Task[None]] = field(default_factory=list)
    erased: dict[int, str] = field(default_factory=dict)  # person -> reference of the request
    problems: list[str] = field(default_factory=list)
    pages: list[bytes] = field(default_factory=list)  # of metrics and alarms

    def __post_init__(self) -> None:
        fleet = self.site.fleet
        self.traffic = Traffic(self.site.schedule.seed, fleet.topics, PARTITIONS)
        self.sender = Sender(fleet.settings.bootstrap_servers)
        self.witness = Witness(fleet.settings)
        self.raw = RawLogs(fleet)

    async def run(self) -> None:
        """From the first start to the last stop. What goes wrong stands in `problems`."""
        crew = self.site.crew
        for number in range(self.site.schedule.workers):
            crew.worker(number).start()
        crew.notary.start()
        watching = [
            asyncio.create_task(crew.look_after()), asyncio.create_task(self.witness.follow())
        ]  # fmt: skip
        try:
            await self._all_chunks()
            await self.quiet()
            await self.settled()
            await self._stop()
        finally:
            for task in (*watching, *self.under_way):
                task.cancel()
            await asyncio.gather(*watching, *self.under_way, return_exceptions=True)
            await self.sender.restart()

    async def _all_chunks(self) -> None:
        lines = self.site.schedule.chunk_lines
        await self.sender.send(self.traffic.lines(lines))
        await self.settled()  # every stream is founded: there is something to disturb
        for chunk in range(1, self.site.schedule.chunks):
            before = await self._segments()
            await self.sender.send(self.traffic.lines(lines))
            for action in self.site.schedule.behind(chunk):
                await self._begin(action)
            await self._pace(before)
            await self._look()
        await self.sender.send(self.traffic.lines(lines))

    async def _begin(self, action: Action) -> None:
        """What needs a sound installation has it to itself; the rest goes on beside the traffic."""
        self.say(str(action))
        if action.kind in actions.ALONE:
            await self.quiet()
            await actions.ACTIONS[action.kind](self, action)
            return
        task = asyncio.create_task(actions.ACTIONS[action.kind](self, action))
        self.under_way.append(task)
        await asyncio.sleep(0)

    async def quiet(self) -> None:
        """Return once everything under way is undone, and everything is healed."""
        for task in self.under_way:
            await task
        self.under_way.clear()
        self.site.heal()
        if self.network is not None:
            self.network.heal()
        await self.cluster.healthy()

    async def _pace(self, before: int) -> None:
        """Until the archive has grown, or it seems that it cannot."""

        async def grown() -> bool:
            return await self._segments() > before

        with contextlib.suppress(AssertionError):
            await eventually(grown, _PACE_SECONDS)

    async def _segments(self) -> int:
        def count() -> int:
            with archive_reader(self.site.fleet.settings) as reader:
                return len(reader.names("segments/"))

        try:
            return await asyncio.wait_for(asyncio.to_thread(count), _PACE_SECONDS)
        except (AuditError, OSError, TimeoutError):
            return 0

    async def settled(self) -> None:
        """Return once all that was sent is archived. `AssertionError` if that does not come."""
        started, last = time.monotonic(), -1
        while time.monotonic() < started + SETTLE_SECONDS:
            try:
                coverage, _ = await cover(self.site.fleet.settings, 10)
            except AuditError as error:
                self.say(f"cannot look yet: {error}")
                continue
            last = coverage.to_come
            if last == 0:
                self.say(f"settled after {time.monotonic() - started:.0f} s")
                return
        raise AssertionError(f"{last} offsets are still to come after {SETTLE_SECONDS:.0f} s")

    async def _look(self) -> None:
        self.pages += await asyncio.to_thread(hands.pages_of, self.site.crew)

    async def _stop(self) -> None:
        """Stop everything as an operator does; the log then takes in what was stored last."""
        await self._look()
        await hands.stop_workers(self)
        await self.site.crew.notary.end(hands.TERM)
        await hands.command(self, "notary", "--once")
        await self.witness.look()

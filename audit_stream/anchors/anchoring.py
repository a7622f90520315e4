"""Anchoring: after a batch, whoever is due is asked to vouch for its checkpoint, all at once.

Nothing here holds up the log or ends a notary: an authority that is away is asked again after the
next batch, and one that stays away is an alarm. What vouches is stored beside the log, put if
absent; when two notaries ask for one checkpoint, the first answer stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from audit_stream.anchors.timestamps import TimestampAuthority
from audit_stream.anchors.witness import Witness
from audit_stream.errors import AuditError, ForkAlarm
from audit_stream.evidence.log_names import anchor_name
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.ports import Alerts, Clock, WormStore

log = logging.getLogger(__name__)
FAILURES_TO_ALARM = 3  # in a row
_CLOCK_SLACK_SECONDS = 1.0  # batches come a little early or late


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchored:
    """A checkpoint that an authority or witness vouches for, as it is stored."""

    name: str  # of the authority or witness
    size: int
    time: datetime  # theirs, UTC


@dataclass(slots=True)
class Standing:
    """How one authority or witness stands."""

    name: str
    newest: Anchored | None = None  # that this process obtained
    failures: int = 0  # since
    forked: bool = False  # it saw another history: an alarm that no later answer closes


class _Asked:
    """One authority or witness, asked at most once at a time."""

    def __init__(self, who: TimestampAuthority | Witness, every_seconds: float) -> None:
        self.who, self.every_seconds = who, every_seconds
        self.standing = Standing(who.name)
        self.asked_at: float | None = None  # when the newest answer that holds was asked for
        self.task: asyncio.Task[None] | None = None

    def is_due(self, now: float) -> bool:
        """Not while it is being asked, and not before its time since it last vouched."""
        if self.task is not None and not self.task.done():
            return False
        return self.asked_at is None or now - self.asked_at >= self.every_seconds


class Anchoring:
    """Asks for anchors of one archive's log. Alarms: ``anchor:<name>``, ``fork:<witness>``."""

    def __init__(
        self, store: WormStore, archive_log: ArchiveLog, authorities: Sequence[TimestampAuthority],
        witnesses: Sequence[Witness], alarms: Alerts, clock: Clock, *,
        timestamp_seconds: float = 600.0, limit_seconds: float = 60.0,
    ) -> None:  # fmt: skip
        self._store, self._log, self._alarms, self._clock = store, archive_log, alarms, clock
        self._limit_seconds = limit_seconds
        often = max(0.0, timestamp_seconds - _CLOCK_SLACK_SECONDS)
        self._asked = [_Asked(each, often) for each in authorities]
        self._asked += [_Asked(each, 0.0) for each in witnesses]

    @property
    def standings(self) -> Sequence[Standing]:
        """Each authority and witness of the settings."""
        return [each.standing for each in self._asked]

    @property
    def newest(self) -> Anchored | None:
        """The newest that anyone vouched for; None: without any outside anchor so far."""
        found = [each.newest for each in self.standings if each.newest is not None]
        return max(found, key=lambda anchored: (anchored.size, anchored.time), default=None)

    def offer(self, head: Head) -> None:
        """Begin to ask whoever is due about a checkpoint whose batch has won. Returns at once."""
        now = self._clock.monotonic()
        for asked in self._asked:
            if asked.is_due(now):
                asked.task = asyncio.create_task(self._anchor(asked, head, now))

    async def settle(self) -> None:
        """Wait for the answers that are under way; each has its time limit."""
        await asyncio.gather(*(each.task for each in self._asked if each.task is not None))

    async def close(self) -> None:
        """Stop asking."""
        tasks = [each.task for each in self._asked if each.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _anchor(self, asked: _Asked, head: Head, now: float) -> None:
        who, standing = asked.who, asked.standing
        try:
            async with asyncio.timeout(self._limit_seconds):
                standing.newest = await self._obtain(who, head)
        except ForkAlarm as error:
            standing.failures, standing.forked = standing.failures + 1, True
            self._alarms.raise_alarm(f"fork:{who.name}", str(error))
        except (AuditError, TimeoutError) as error:
            self._failed(standing, str(error) or "it did not answer in time")
        except Exception as error:
            # A defect must not end the task unseen, and may not end the notary either.
            log.exception("anchor %s", who.name)
            self._failed(standing, type(error).__name__)
        else:
            standing.failures, asked.asked_at = 0, now
            self._alarms.close_alarm(f"anchor:{who.name}", "it vouches for the log again")

    def _failed(self, standing: Standing, reason: str) -> None:
        standing.failures += 1
        log.warning("anchor %s: %s", standing.name, reason)
        if standing.failures >= FAILURES_TO_ALARM:
            summary = f"has not vouched for {standing.failures} checkpoints in a row: {reason}"
            self._alarms.raise_alarm(f"anchor:{standing.name}", summary, severity="warning")

    async def _obtain(self, who: TimestampAuthority | Witness, head: Head) -> Anchored:
        if isinstance(who, Witness):
            cosigned = await who.ask(self._log, head)
            head, data, extension = cosigned.head, cosigned.note.encode(), "note"
            time = datetime.fromtimestamp(cosigned.seconds, UTC)
        else:
            data, said = await who.ask(head.note.encode())
            time, extension = said.time, "tsr"
        name = anchor_name(head.size, f"{who.name}.{extension}")
        await self._store.put_if_absent(name, data, {})
        return Anchored(name=who.name, size=head.size, time=time)

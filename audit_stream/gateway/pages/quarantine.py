"""What lies in quarantine, as the archive's ledgers say.

The archive knows which positions were quarantined and when. Why stands only in the quarantine
topic, beside the personal data of the event: a gateway counts the reasons there if it is told to.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from itertools import islice

from audit_stream.gateway.pages.standing import places
from audit_stream.gateway.service import Service
from audit_stream.index.counts import Run, date_of
from audit_stream.index.rows import Indexed

_MOST_RUNS, _MOST_OFFSETS = 200, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lying:
    """Events that stood one behind the other; `retried` of them were archived since."""

    topic: str
    partition: int
    day: date
    first: int
    last: int
    retried: int

    @property
    def left(self) -> int:
        """Those that were not."""
        return self.last - self.first + 1 - self.retried


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Copies of one topic's events that lie in the quarantine topic for one reason."""

    topic: str
    reason: str
    copies: int
    left: int  # of events that were not archived since


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasons:
    """What lay in the quarantine topic at a time (RFC 3339)."""

    at: str
    found: list[Reason]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """By topic how many were ever put there and how many are left; the newest of them."""

    topics: list[tuple[str, int, int]]
    newest: list[Lying]
    more: bool  # whether there are older ones


def quarantine(service: Service) -> Quarantine:
    """From the index alone."""
    ever: Counter[str] = Counter()
    retried: Counter[str] = Counter()
    for each in places(service):
        ever[each.topic] += each.counted["q"]
        retried[each.topic] += each.counted.retried
    runs = list(islice(service.index.quarantined(), _MOST_RUNS + 1))
    named = service.index.places()
    return Quarantine(
        topics=[(topic, ever[topic], max(0, ever[topic] - retried[topic])) for topic in ever],
        newest=[_lying(service, named[run.place], run) for run in runs[:_MOST_RUNS]],
        more=len(runs) > _MOST_RUNS,
    )  # fmt: skip


def _lying(service: Service, place: Indexed, run: Run) -> Lying:
    retried = sum(
        service.index.is_retried(f"{place.topic}/{place.partition}/{offset}")
        for offset in range(run.offset, run.offset + min(run.length, _MOST_OFFSETS))
    )
    return Lying(
        topic=place.topic, partition=place.partition, day=date_of(run.day), first=run.offset,
        last=run.offset + run.length - 1, retried=retried,
    )  # fmt: skip

"""What lies in quarantine, as the archive's ledgers say.

The archive knows which positions were quarantined and when. Why stands only in the quarantine
topic, beside the personal data of the event: a gateway counts the reasons there if it is told to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from audit_stream.gateway.followed import Followed
from audit_stream.gateway.pages.standing import OfTopic, by_topic, places
from audit_stream.index.counts import Run, date_of
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.rows import Indexed
from audit_stream.seal.judge import REKEYED

#: That are listed: each offset costs a look into the index.
_MOST_RUNS, _MOST_OFFSETS = 200, 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lying:
    """Events that stood one behind the other; `retried` of them were archived since, if that can be
    told."""

    topic: str
    partition: int
    day: date
    first: int
    last: int
    retried: int | None

    @property
    def left(self) -> int | None:
        """Those that were not."""
        return None if self.retried is None else self.last - self.first + 1 - self.retried


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
    """By topic, and the newest of them."""

    topics: list[OfTopic]
    newest: list[Lying]
    more: bool  # whether there are older ones


def quarantine(service: Followed) -> Quarantine:
    """From the index alone."""
    newest, more = _newest(service.index)
    return Quarantine(topics=by_topic(places(service)), newest=newest, more=more)


def _newest(index: ArchiveIndex) -> tuple[list[Lying], bool]:
    """Whole runs, until they are enough; whether there are older ones."""
    found: list[Lying] = []
    offsets, named = 0, None
    for run in index.quarantined():
        offsets += run.length
        if found and (len(found) == _MOST_RUNS or offsets > _MOST_OFFSETS):
            return found, True
        if named is None or run.place not in named:
            named = index.places()
        found.append(_lying(index, named[run.place], run))
    return found, False


def _lying(index: ArchiveIndex, place: Indexed, run: Run) -> Lying:
    retried = (
        index.is_retried(f"{place.topic}/{place.partition}/{run.offset + n}", place.generation)
        for n in range(run.length)
    )
    return Lying(
        topic=place.topic, partition=place.partition, day=date_of(run.day), first=run.offset,
        last=run.offset + run.length - 1,
        retried=None if place.topic.endswith(REKEYED) else sum(retried),
    )  # fmt: skip

"""How the archive stands: is anything missing, late, in quarantine; how well is it protected.

From the index and the newest digest of the log alone: nothing of the archive is read for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from audit_stream.archive.coverage import gap_between
from audit_stream.evidence.digest import Covered
from audit_stream.evidence.segment import lowest_assurance
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.gateway.pages import words
from audit_stream.gateway.service import Service
from audit_stream.index.counts import Counted, milliseconds

GOOD, UNSURE, BAD = "good", "unsure", "bad"
#: A record is late when it is sealed later than that after it came: the objective of the alerts.
LATE_MS = 120_000
_STALE_LOG_MS = 300_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One question and its answer."""

    question: str
    state: str
    answer: str
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One stream and partition as it is now; times in ms."""

    topic: str
    generation: int
    partition: int
    next: int  # first offset that is not archived
    counted: Counted
    end: int | None = None  # the broker's, at the last digest; None: it was not known

    @property
    def waiting(self) -> int | None:
        """Offsets that the broker had and the archive did not, at the last digest."""
        return None if self.end is None else max(0, self.end - self.next)


def places(service: Service) -> list[Place]:
    """Every partition of every stream, by topic, generation and partition."""
    totals, index = service.index.totals(), service.index.places()
    known = {(each.topic, each.generation, each.partition): each for each in index.values()}
    covered = {_key(each): each for each in service.head.digest.coverage} if service.head else {}
    found = []
    for stream in service.tail.streams:
        for partition, genesis in enumerate(stream.genesis):
            key = (stream.topic, stream.generation, partition)
            indexed = known.get(key)
            found.append(Place(
                topic=stream.topic, generation=stream.generation, partition=partition,
                next=genesis if indexed is None else indexed.link.next,
                counted=Counted() if indexed is None else totals.get(indexed.place, Counted()),
                end=covered[key].end if key in covered else None,
            ))  # fmt: skip
    return found


def gaps(streams: list[StreamObject]) -> Iterator[tuple[StreamObject, int, int]]:
    """Where a generation does not begin where the one before ended: stream, partition, offsets."""
    for before, after in pairwise(streams):
        if before.topic == after.topic:
            for partition in range(after.partitions):
                if missing := gap_between((before, after), partition):
                    yield after, partition, missing


def signs(service: Service, now_ms: int) -> list[Sign]:
    """The dashboard."""
    found = places(service)
    return [
        _missing(service, found), _late(service, found, now_ms), _quarantine(found),
        _assurance(found), _anchors(service),
    ]  # fmt: skip


def _missing(service: Service, found: list[Place]) -> Sign:
    lost = sum(each.counted["l"] for each in found)
    between = sum(missing for *_, missing in gaps(service.tail.streams))
    stopped = service.tail.stopped
    more = []
    if lost:
        more.append(f"{words.counted(lost, 'event')} lost: they had left the topic before they "
                    "could be read.")  # fmt: skip
    if between:
        more.append(f"{words.counted(between, 'position')} between two generations of a topic.")
    more += [f"{each} does not fit its chain and is followed no further." for each in stopped]
    more += [f"{each}: the archive's log has other files, or more of them, than are stored."
             for each in service.broken]  # fmt: skip
    whole = sum(each.counted.offsets for each in found)
    if more:
        return Sign(question="Missing", state=BAD, answer="Something is missing", more=(*more,))
    if not whole:
        return Sign(question="Missing", state=UNSURE, answer="Nothing is archived yet")
    more.append(f"Each of {words.counted(whole, 'position')} of the topics is accounted for.")
    return Sign(question="Missing", state=GOOD, answer="Nothing is missing", more=(*more,))


def _late(service: Service, found: list[Place], now_ms: int) -> Sign:
    if service.head is None:
        return Sign(question="Late", state=UNSURE, answer="Not known",
                    more=("The archive has no log yet.",))  # fmt: skip
    at = milliseconds(service.head.digest.time)
    waiting = [each for each in found if each.waiting]
    late = [each for each in waiting if at - each.counted.last_ts > LATE_MS]
    more = [f"The log was last written {words.moment_ms(at)}."]
    if late:
        total = sum(each.waiting or 0 for each in late)
        more.insert(0, f"{words.counted(total, 'event')} waited for more than "
                       f"{words.span(LATE_MS / 1000)}.")  # fmt: skip
    if late or now_ms - at > _STALE_LOG_MS:
        answer = "Something is late" if late else "The log is late"
        return Sign(question="Late", state=BAD, answer=answer, more=(*more,))
    newest = [each for each in found if each.end is None and each.generation == _last(found, each)]
    if newest or not service.caught_up:
        more.append("The broker could not be asked how much is still to come." if newest
                    else "This gateway is still reading the archive.")  # fmt: skip
        return Sign(question="Late", state=UNSURE, answer="Not known", more=(*more,))
    return Sign(question="Late", state=GOOD, answer="Nothing is late", more=(*more,))


def _quarantine(found: list[Place]) -> Sign:
    total = sum(each.counted["q"] for each in found)
    left = max(0, total - sum(each.counted.retried for each in found))
    more = (f"{words.counted(total, 'event')} were ever put there.",) if total else ()
    if left:
        return Sign(question="Quarantine", state=UNSURE, more=more,
                    answer=f"{words.counted(left, 'event')} in quarantine")  # fmt: skip
    return Sign(question="Quarantine", state=GOOD, answer="Nothing in quarantine", more=more)


def _assurance(found: list[Place]) -> Sign:
    levels = [level for each in found if (level := each.counted.assurance) is not None]
    level = lowest_assurance(levels)
    if level is None:
        return Sign(question="Protection", state=UNSURE, answer="Nothing is archived yet")
    state = {"worm_locked": GOOD, "worm_unlocked": UNSURE, "mutable": BAD}[level]
    answer = {"worm_locked": "Write-once, locked", "worm_unlocked": "Write-once, not locked",
              "mutable": "Can be rewritten"}[level]  # fmt: skip
    return Sign(question="Protection", state=state, answer=answer,
                more=(f"The archive is {words.ASSURANCE[level]} ({level}).",))  # fmt: skip


def _anchors(service: Service) -> Sign:
    if service.anchored is None:
        return Sign(question="Outside anchors", state=UNSURE, answer="No outside anchor",
                    more=(words.NO_ANCHOR.partition(": ")[2],))  # fmt: skip
    size = service.anchored.checkpoint.size
    whole = service.head.size if service.head else size
    return Sign(
        question="Outside anchors", state=GOOD, answer="Vouched for from outside",
        more=(*words.vouchers(service.anchored),
              f"They cover {size:,} of {words.counted(whole, 'line')} of the log."),
    )  # fmt: skip


def _last(found: list[Place], place: Place) -> int:
    return max(each.generation for each in found if each.topic == place.topic)


def _key(each: Covered) -> tuple[str, int, int]:
    return each.topic, each.generation, each.partition

"""How the archive stands: is anything missing, late, in quarantine; how well is it protected.

From the index and the newest digest of the log alone: nothing of the archive is read for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from audit_stream.archive.coverage import gap_between
from audit_stream.evidence.digest import Covered
from audit_stream.evidence.segment import lowest_assurance
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.evidence.vouching import Vouched
from audit_stream.gateway.followed import Followed
from audit_stream.gateway.pages import words
from audit_stream.gateway.watch import WATCHED_MS
from audit_stream.index.counts import Counted, milliseconds
from audit_stream.seal.judge import REKEYED

GOOD, UNSURE, BAD = "good", "unsure", "bad"
#: A record is late when it is sealed later than that after it came: the objective of the alerts.
LATE_MS = WATCHED_MS
#: What has not been read or written for longer is not known any more.
STALE_MS = 300_000
#: An anchor that is older than a day covers none of what a day brought.
_OLD_ANCHOR_MS = 86_400_000


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
    logged: int = 0  # first offset that the log does not cover
    start: int | None = None  # the broker's log, at the last digest; None: it was not known
    end: int | None = None
    is_newest: bool = True  # of its topic's generations: of older ones nothing is to come

    def __str__(self) -> str:
        return f"{self.topic}/{self.generation}/{self.partition}"

    @property
    def reached(self) -> int:
        """First offset that is neither indexed nor logged."""
        return max(self.next, self.logged)

    @property
    def waiting(self) -> int | None:
        """Offsets that the broker had at the last digest, and that are not archived."""
        return None if self.end is None else max(0, self.end - self.reached)

    @property
    def overtaken(self) -> int:
        """Offsets that left the topic before they were archived."""
        return 0 if self.start is None else max(0, self.start - self.reached)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfTopic:
    """How many of a topic's events were ever put there, and how many were archived since: of a
    rekeyed topic nobody can tell, since where its events first stood is in another topic."""

    topic: str
    ever: int
    since: int | None

    @property
    def left(self) -> int | None:
        """Those that were not."""
        return None if self.since is None else max(0, self.ever - self.since)


def places(service: Followed) -> list[Place]:
    """Every partition of every stream, by topic, generation and partition."""
    totals, index = service.index.totals(), service.index.places()
    known = {(each.topic, each.generation, each.partition): each for each in index.values()}
    covered = {_key(each): each for each in service.head.digest.coverage} if service.head else {}
    found, streams = [], service.tail.streams
    newest = {stream.topic: stream.generation for stream in streams}  # the oldest come first
    for stream in streams:
        for partition, genesis in enumerate(stream.genesis):
            key = (stream.topic, stream.generation, partition)
            indexed, logged = known.get(key), covered.get(key)
            found.append(Place(
                topic=stream.topic, generation=stream.generation, partition=partition,
                next=genesis if indexed is None else indexed.link.next,
                counted=Counted() if indexed is None else totals.get(indexed.place, Counted()),
                logged=0 if logged is None else logged.archived_next,
                start=None if logged is None else logged.log_start,
                end=None if logged is None else logged.end,
                is_newest=stream.generation == newest[stream.topic],
            ))  # fmt: skip
    return found


def by_topic(found: list[Place]) -> list[OfTopic]:
    """What the counts of all places say, in their order."""
    ever: Counter[str] = Counter()
    since: Counter[str] = Counter()
    for each in found:
        ever[each.topic] += each.counted["q"]
        since[each.topic] += each.counted.retried
    return [
        OfTopic(topic=topic, ever=count, since=None if topic.endswith(REKEYED) else since[topic])
        for topic, count in ever.items()
    ]


def gaps(streams: list[StreamObject]) -> Iterator[tuple[StreamObject, int, int]]:
    """Where a generation does not begin where the one before ended: stream, partition, offsets."""
    for before, after in pairwise(streams):
        if before.topic == after.topic:
            for partition in range(after.partitions):
                if missing := gap_between((before, after), partition):
                    yield after, partition, missing


def cut_short(streams: list[StreamObject], found: list[Place]) -> Iterator[tuple[Place, int]]:
    """Where the archive does not reach the end that the next generation says a place has."""
    there = {_key(each): each for each in found}
    for before, after in pairwise(streams):
        for ended in after.ended or () if before.topic == after.topic else ():
            place = there.get((before.topic, before.generation, ended["partition"]))
            if place is not None and place.next < ended["next"]:
                yield place, ended["next"] - place.next


def unread(service: Followed) -> list[str]:
    """What this gateway knows it has not read, a sentence each: a record may be there."""
    more = [f"{each} is followed no further: what is stored there does not fit, or is gone."
            for each in service.tail.stopped]  # fmt: skip
    more += [f"{each}: the archive's log has other files, or more of them, than are stored."
             for each in service.broken]  # fmt: skip
    if not more and service.behind_seconds * 1000 > STALE_MS:
        ago = words.span(service.behind_seconds)
        more.append(f"This gateway last read what is stored {ago} ago.")
    return more


def signs(service: Followed, now_ms: int) -> list[Sign]:
    """The dashboard."""
    found = places(service)
    return [
        _missing(service, found, now_ms), _late(service, found, now_ms), _quarantine(found),
        _assurance(found), _anchors(service, now_ms),
    ]  # fmt: skip


def _missing(service: Followed, found: list[Place], now_ms: int) -> Sign:
    more, whole = _losses(service, found), sum(each.counted.offsets for each in found)
    if service.tail.stopped or service.broken:
        more += unread(service)
    if more:
        return Sign(question="Missing", state=BAD, answer="Something is missing", more=(*more,))
    if not whole:
        return Sign(question="Missing", state=UNSURE, answer="Nothing is archived yet")
    read = f"Each of {words.counted(whole, 'archived position')} is accounted for."
    if blind := _blind(service, found, now_ms):
        return Sign(question="Missing", state=UNSURE, answer="Nothing is known to be missing",
                    more=(*blind, read))  # fmt: skip
    return Sign(question="Missing", state=GOOD, answer="Nothing is missing", more=(read,))


def _losses(service: Followed, found: list[Place]) -> list[str]:
    lost = sum(each.counted["l"] for each in found)
    overtaken = sum(each.overtaken for each in found)
    between = sum(missing for *_, missing in gaps(service.tail.streams))
    short = sum(missing for _, missing in cut_short(service.tail.streams, found))
    more = []
    if lost:
        more.append(f"{words.counted(lost, 'event')} lost: they had left the topic before they "
                    "could be read.")  # fmt: skip
    if overtaken:
        more.append(f"{words.counted(overtaken, 'position')} left a topic and were not archived.")
    if between:
        more.append(f"{words.counted(between, 'position')} between two generations of a topic.")
    if short:
        more.append(f"{words.counted(short, 'position')} at the end of a generation of a topic.")
    return more


def _blind(service: Followed, found: list[Place], now_ms: int) -> list[str]:
    """Why something could be missing or late without being seen, a sentence each."""
    if service.head is None:
        return ["The archive has no log yet: were its newest files gone, nothing would show it."]
    more, at = unread(service), milliseconds(service.head.digest.time)
    if now_ms - at > STALE_MS:
        more.append(
            f"The log was last written {words.moment_ms(at)}: what came since is not known."
        )
    if any(each.end is None and each.is_newest for each in found):
        more.append("The broker could not be asked how much is still to come.")
    if any(each.topic.endswith(REKEYED) for each in found):
        more.append("Rekeyed topics are copies: whether each event of the platform's was copied, "
                    "audit-stream reconcile tells.")  # fmt: skip
    return more


def _late(service: Followed, found: list[Place], now_ms: int) -> Sign:
    if service.head is None:
        return Sign(question="Late", state=UNSURE, answer="Not known",
                    more=("The archive has no log yet.",))  # fmt: skip
    at = milliseconds(service.head.digest.time)
    more = [f"The log was last written {words.moment_ms(at)}."]
    ends = service.watch.ends(now_ms - LATE_MS)
    late = sum(
        max(0, (ends or {}).get(_key(each), 0) - each.reached) for each in found if each.is_newest
    )
    if late:
        more.insert(0, f"{words.counted(late, 'event')} waited for more than "
                       f"{words.span(LATE_MS / 1000)}.")  # fmt: skip
    if late or now_ms - at > STALE_MS:
        answer = "Something is late" if late else "The log is late"
        return Sign(question="Late", state=BAD, answer=answer, more=(*more,))
    more += _blind(service, found, now_ms)
    waiting = sum(each.waiting or 0 for each in found)
    if waiting and ends is None:
        more.append(f"{words.counted(waiting, 'event')} waiting, and this gateway has not watched "
                    "for long enough to know since when.")  # fmt: skip
    if len(more) > 1:
        return Sign(question="Late", state=UNSURE, answer="Not known", more=(*more,))
    return Sign(question="Late", state=GOOD, answer="Nothing is late", more=(*more,))


def _quarantine(found: list[Place]) -> Sign:
    topics = [each for each in by_topic(found) if each.ever]
    total = sum(each.ever for each in topics)
    left = sum(each.ever if each.left is None else each.left for each in topics)
    more = [f"{words.counted(total, 'event')} put there in all."] if total else []
    if any(each.since is None for each in topics):
        more.append("Of rekeyed topics it is not known which were archived since.")
    if left:
        return Sign(question="Quarantine", state=UNSURE, more=(*more,),
                    answer=f"{words.counted(left, 'event')} in quarantine")  # fmt: skip
    return Sign(question="Quarantine", state=GOOD, answer="Nothing in quarantine", more=(*more,))


def _assurance(found: list[Place]) -> Sign:
    levels = [level for each in found if (level := each.counted.assurance) is not None]
    level = lowest_assurance(levels)
    if level is None:
        return Sign(question="Protection", state=UNSURE, answer="Nothing is archived yet")
    state = {"worm_locked": GOOD, "worm_unlocked": UNSURE, "mutable": BAD}[level]
    answer = {"worm_locked": "Write-once, locked", "worm_unlocked": "Write-once, not locked",
              "mutable": "Can be rewritten"}[level]  # fmt: skip
    more = f"By its own files, the archive is {words.ASSURANCE[level]} ({level})."
    return Sign(question="Protection", state=state, answer=answer, more=(more,))


def _anchors(service: Followed, now_ms: int) -> Sign:
    if service.anchored is None:
        return Sign(question="Outside anchors", state=UNSURE, answer="No outside anchor",
                    more=(words.NOBODY_OUTSIDE,))  # fmt: skip
    size = service.anchored.checkpoint.size
    whole = service.head.size if service.head else size
    more = [*words.vouchers(service.anchored),
            f"They cover {size:,} of {words.counted(whole, 'line')} of the log."]  # fmt: skip
    if size < whole and now_ms - _newest(service.anchored) > _OLD_ANCHOR_MS:
        more.append("Nobody outside has vouched for what was logged since.")
        return Sign(question="Outside anchors", state=UNSURE, answer="The newest anchor is old",
                    more=(*more,))  # fmt: skip
    return Sign(
        question="Outside anchors", state=GOOD, answer="Vouched for from outside", more=(*more,)
    )


def _newest(vouched: Vouched) -> int:
    """When anyone outside last vouched, ms since 1970."""
    seconds = [*vouched.judgement.witnesses.values()]
    seconds += [int(each.time.timestamp()) for each in vouched.timestamps.values()]
    return 1000 * max(seconds, default=0)


def _key(each: Covered | Place) -> tuple[str, int, int]:
    return each.topic, each.generation, each.partition

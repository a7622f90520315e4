"""The dashboard says no more than is known: of one partition with twenty offsets, all archived."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit_stream.evidence.checkpoint import Checkpoint
from audit_stream.evidence.digest import Covered, Digest
from audit_stream.evidence.policy import Judgement
from audit_stream.evidence.vouching import Vouched
from audit_stream.gateway.pages.completeness import pictures
from audit_stream.gateway.pages.standing import BAD, GOOD, UNSURE, Sign, signs
from audit_stream.gateway.watch import WATCHED_MS, Watch
from audit_stream.index.counts import DAY_MS, number_of_day
from audit_stream.stores.memory import MemoryWormStore
from tests.support import chains
from tests.support.chains import ChainMaker
from tests.support.following import followed, indexed_chains
from tests.support.indexing import Indexing

DAY = number_of_day("2026-03-02")
NOW = (DAY + 1) * DAY_MS
MINUTE = 60_000


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Indexing]:
    store = MemoryWormStore()
    maker = ChainMaker(store, chains.stream_of("t", partitions=1))
    await maker.found()
    at = DAY * DAY_MS + 1
    await maker.add(0, 20, first_ts=at, last_ts=at, sealed_at="2026-03-02T00:00:01.000Z")
    async with indexed_chains(store, tmp_path) as found:
        yield found


def digest(ago: int, end: int | None = 20, start: int | None = 0, logged: int = 20) -> Digest:
    """Written so many milliseconds ago."""
    covered = Covered(
        topic="t", generation=1, partition=0, archived_next=logged, log_start=start, end=end
    )
    time = datetime.fromtimestamp((NOW - ago) / 1000, UTC).isoformat(timespec="milliseconds")
    return Digest(archive=chains.NAME, coverage=(covered,), prev_root=bytes(32), time=time)


def sign(question: str, found: Any) -> Sign:
    return next(each for each in signs(found, NOW) if each.question == question)


async def test_all_is_well_only_when_all_is_known(made: Indexing) -> None:
    known = followed(made, digest(0))
    assert sign("Missing", known).state == sign("Late", known).state == GOOD
    assert sign("Missing", known).more == ("Each of 20 archived positions is accounted for.",)
    for found, why in (
        (followed(made), "no log yet"),
        (followed(made, digest(6 * MINUTE)), "what came since is not known"),
        (followed(made, digest(0, end=None)), "could not be asked"),
        (
            followed(made, digest(0), behind_seconds=1800.0),
            "last read what is stored 30 minutes ago",
        ),
    ):
        missing = sign("Missing", found)
        assert (missing.state, missing.answer) == (UNSURE, "Nothing is known to be missing")
        assert why in missing.more[0]
        assert sign("Late", found).state != GOOD


async def test_what_left_a_topic_unarchived_is_missing(made: Indexing) -> None:
    found = followed(made, digest(0, end=40, start=25))
    missing = sign("Missing", found)
    assert (missing.state, missing.more) == (
        BAD, ("5 positions left a topic and were not archived.",)
    )  # fmt: skip
    (picture,) = pictures(found, DAY)
    assert picture.findings == ["Partition 0, now: 5 events left the topic unarchived"]
    behind = followed(made, digest(0, start=25, logged=25, end=25))  # only this gateway is
    assert sign("Missing", behind).state == GOOD


async def test_a_quiet_topic_s_next_event_is_not_late(made: Indexing) -> None:
    found = followed(made, digest(3 * MINUTE), digest(MINUTE), digest(0, end=21))
    assert sign("Late", found).state == GOOD
    (picture,) = pictures(found, DAY)
    assert picture.findings == ["Partition 0, now: 1 event not archived yet"]


async def test_what_waits_for_minutes_is_late(made: Indexing) -> None:
    waits = [digest(ago * MINUTE, end=27 - ago) for ago in range(5, -1, -1)]
    late = sign("Late", followed(made, *waits))
    assert (late.state, late.answer) == (BAD, "Something is late")
    assert late.more[0] == "5 events waited for more than 2 minutes."


async def test_who_has_just_begun_to_watch_does_not_know(made: Indexing) -> None:
    late = sign("Late", followed(made, digest(0, end=21)))
    assert (late.state, late.answer) == (UNSURE, "Not known")
    assert "1 event waiting" in late.more[-1]


async def test_an_anchor_of_long_ago_does_not_vouch_for_today(made: Indexing) -> None:
    def anchored(size: int, ago_days: int) -> Sign:
        seconds = (NOW - ago_days * DAY_MS) // 1000
        vouched = Vouched(
            checkpoint=Checkpoint(origin=chains.NAME, size=size, root=bytes(32)),
            judgement=Judgement(log=None, witnesses={"w": seconds}, quorum=True),
            timestamps={}, useless=(),
        )  # fmt: skip
        return sign("Outside anchors", followed(made, digest(0), anchored=vouched))

    assert anchored(90, 0).state == GOOD
    assert anchored(100, 9).state == GOOD  # nothing was logged since
    assert (anchored(90, 9).state, anchored(90, 9).answer) == (UNSURE, "The newest anchor is old")


def test_only_the_last_minutes_are_kept() -> None:
    watch = Watch()
    assert watch.ends(NOW) is None
    for ago in range(100, -1, -1):
        watch.saw(digest(ago * MINUTE, end=1000 - ago))
    assert len(watch._seen) == WATCHED_MS // MINUTE + 1
    assert watch.ends(NOW - WATCHED_MS) == {("t", 1, 0): 998}
    assert watch.ends(NOW) == {("t", 1, 0): 1000}
    assert watch.ends(NOW - 3 * MINUTE) is None
    watch.saw(digest(-MINUTE, end=None))
    assert watch.ends(NOW + MINUTE) == {}

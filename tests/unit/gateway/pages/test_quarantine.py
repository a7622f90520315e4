"""The page on quarantine: whole runs, counted to their ends, and no more than can be told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from audit_stream.gateway.pages import quarantine as module
from audit_stream.gateway.pages import render
from audit_stream.gateway.pages.quarantine import quarantine
from audit_stream.gateway.pages.standing import UNSURE, signs
from audit_stream.index.counts import RETRIED
from audit_stream.stores.memory import MemoryWormStore
from tests.support import chains
from tests.support.chains import ChainMaker
from tests.support.following import followed, indexed_chains
from tests.support.indexing import Indexing
from tests.unit.gateway.pages.test_standing import NOW, digest

LONG = 1500


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Indexing]:
    """Two runs in a topic, the newer a long one; and one in a rekeyed topic."""
    store = MemoryWormStore()
    maker = ChainMaker(store, chains.stream_of("t", partitions=1))
    await maker.found()
    day = 86_400_000
    await maker.add(0, 5, first_ts=day, last_ts=day, ledger="i4q")
    await maker.add(0, LONG, first_ts=2 * day, last_ts=2 * day, ledger=f"{LONG}q")
    rekeyed = ChainMaker(
        store, replace(chains.stream_of("r-rekeyed", partitions=1), stream="f" * 32)
    )
    await rekeyed.found()
    await rekeyed.add(0, 3, ledger="3q")
    async with indexed_chains(store, tmp_path) as found:
        yield found


def test_a_long_run_is_counted_to_its_end(made: Indexing) -> None:
    one = (1).to_bytes(4, "big")  # generation
    made.index.write((RETRIED + b"t/0/%d" % offset, one) for offset in range(5, 5 + LONG - 1))
    newest = quarantine(followed(made)).newest
    assert [(each.topic, each.first, each.last, each.left) for each in newest] == [
        ("t", 5, LONG + 4, 1), ("t", 1, 4, 4), ("r-rekeyed", 0, 2, None),
    ]  # fmt: skip


def test_only_the_newest_runs_are_listed(made: Indexing, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not quarantine(followed(made)).more
    for name, most, listed in (("_MOST_RUNS", 2, 2), ("_MOST_OFFSETS", LONG + 3, 1),
                               ("_MOST_OFFSETS", 10, 1)):  # fmt: skip
        with monkeypatch.context() as patched:
            patched.setattr(module, name, most)
            found = quarantine(followed(made))
        assert (len(found.newest), found.more) == (listed, True)


def test_of_a_rekeyed_topic_nobody_knows(made: Indexing) -> None:
    topics = {each.topic: each for each in quarantine(followed(made)).topics}
    assert (topics["r-rekeyed"].ever, topics["r-rekeyed"].left) == (3, None)
    assert (topics["t"].ever, topics["t"].left) == (LONG + 4, LONG + 4)
    page = render.html(
        "quarantine", who=None, here="", found=quarantine(followed(made)), reasons=None
    )
    assert page.body.count(b"not known") == 3
    assert b"Of a rekeyed topic" in page.body
    found = followed(made, digest(0, end=None))
    for question in ("Missing", "Late"):
        sign = next(each for each in signs(found, NOW) if each.question == question)
        assert sign.state == UNSURE
        assert any("whether each event of the platform's was copied" in each for each in sign.more)
    sign = next(each for each in signs(followed(made), 0) if each.question == "Quarantine")
    assert (sign.state, sign.answer) == (UNSURE, f"{LONG + 7:,} events in quarantine")
    assert "Of rekeyed topics it is not known which were archived since." in sign.more

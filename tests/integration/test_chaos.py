"""Chaos in short: one schedule on three brokers, and a judge who notices what is planted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from audit_stream.errors import BrokerError, ConfigError
from tests.campaigns.chaos.cluster import Cluster
from tests.campaigns.chaos.evidence import Evidence, Said, gather, said, write
from tests.campaigns.chaos.judge import judge
from tests.campaigns.chaos.play import Play
from tests.campaigns.chaos.schedule import BROKERS, Action, Schedule
from tests.campaigns.chaos.site import site
from tests.integration.conftest import not_run
from tests.support.planted_violations import VIOLATIONS, resealed

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]

SHORT = Schedule(seed=0, store="file", workers=2, chunks=4, chunk_lines=150, actions=(
    Action(kind="kill", after=1, hold=0.5, given={"worker": 0, "step": "put", "when": "after"}),
    Action(kind="poison", after=1, given={"rounds": 1}),
    Action(kind="broker-kill", after=2, hold=1.0, given={"broker": 2}),
    Action(kind="erase", after=3, given={"persons": 1, "step": "punctured", "when": "after"}),
))  # fmt: skip


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, Said]:
    """What is left of the schedule; and what `replay` says of the archive with a record changed,
    signed by who has the key."""
    try:
        return asyncio.run(_play(tmp_path_factory.mktemp("chaos")))
    except (BrokerError, ConfigError) as error:
        not_run(error)
        raise


async def _play(folder: Path) -> tuple[Evidence, Said]:
    async with (
        Cluster(folder / "cluster") as cluster,
        site(cluster.url, BROKERS, folder / "seed", SHORT) as found,
    ):
        play = Play(found, cluster, cluster.network, print)
        await play.run()
        assert play.problems == []
        (folder / "judged").mkdir()
        seen = await gather(play, folder / "judged")
        changed = resealed(seen, lambda _, lines: lines[0]["pub"].update(carrier_status="SENT"))
        write(changed, folder / "planted")
        where = (folder / "planted").as_uri()
        return seen, await said(found.fleet, "replay", "--compare", AUDIT_ARCHIVE=where)


def test_every_promise_holds_through_kills_a_lost_broker_poison_and_an_erasure(
    played: tuple[Evidence, Said],
) -> None:
    seen, _ = played
    verdict = judge(seen)
    assert verdict.problems == []
    assert verdict.records > 100
    assert verdict.quarantined >= 12
    assert verdict.erased == 1
    assert any(each.code == -9 for each in seen.exits)


@pytest.mark.parametrize("planted", VIOLATIONS, ids=" ".join)
def test_the_judge_notices(played: tuple[Evidence, Said], planted: tuple[str, str]) -> None:
    found = judge(VIOLATIONS[planted](played[0])).problems
    assert any(each.startswith(f"{planted[0]}:") for each in found), found


def test_p3_a_record_that_the_raw_log_does_not_give_is_noticed(
    played: tuple[Evidence, Said],
) -> None:
    seen, replayed = played
    assert seen.replayed.code == 0
    assert replayed.code == 1, replayed
    assert "DIFFERS" in replayed.out

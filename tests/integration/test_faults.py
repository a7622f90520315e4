"""The short form of ``make faults``: telling faults of each store, two real workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.kafka.embedded import EmbeddedKafka
from tests.campaigns.run import Plan, run
from tests.campaigns.stores import STORES

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

SHORT = Plan(records=1200, broken_seconds=4.0)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("azure", "drop_after"), ("azure", "throttle"), ("azure", "proxy_403"),
        ("s3", "drop_after"), ("s3", "marker"), ("s3", "shadow"),
    ],
)  # fmt: skip
async def test_nothing_is_lost_and_the_store_is_spared(
    kafka: EmbeddedKafka, tmp_path: Path, fresh: str, name: str, fault: str
) -> None:
    store = STORES[name]
    scenario = store.by_name[fault]
    outcome = await run(kafka.url, tmp_path, fresh, store, scenario, SHORT)
    assert outcome.problems == []
    assert outcome.hits > 0
    opened = {(turn.worker, turn.target) for turn in outcome.turns if turn.opened}
    # of both workers, when every request met the fault
    assert len(opened) == 2 * len(scenario.opens)

"""The short form of ``make faults``: three telling faults of an Azure store, two real workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.kafka.embedded import EmbeddedKafka
from tests.campaigns.run import Plan, run
from tests.campaigns.scenarios import BY_NAME

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

SHORT = Plan(records=1200, broken_seconds=4.0)


@pytest.mark.parametrize("fault", ["drop_after", "throttle", "proxy_403"])
async def test_nothing_is_lost_and_the_store_is_spared(
    kafka: EmbeddedKafka, tmp_path: Path, fresh: str, fault: str
) -> None:
    outcome = await run(kafka.url, tmp_path, fresh, BY_NAME[fault], SHORT)
    assert outcome.problems == []
    assert outcome.hits > 0
    opened = {(turn.worker, turn.target) for turn in outcome.turns if turn.opened}
    assert len(opened) == 4  # both targets of both workers, when every request met the fault

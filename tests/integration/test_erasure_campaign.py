"""The short form of ``python -m tests.campaigns.erasure``: three kills, real workers."""

from __future__ import annotations

import pytest

from tests.campaigns.erasure import Plan, play
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

SHORT = Plan(
    subjects=600, erased=24, segment_records=200,
    kills=(("punctured", "between"), ("zeroed", "after"), ("certified", "between")),
)  # fmt: skip


async def test_p7_killed_at_some_steps_each_is_erased_once_and_nobody_else(fleet: Fleet) -> None:
    outcome = await play(fleet, SHORT)
    assert outcome.problems == []
    assert outcome.erased_records > outcome.late_records > 0
    assert outcome.records > outcome.erased_records

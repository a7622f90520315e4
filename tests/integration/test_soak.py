"""The short form of ``python -m tests.campaigns.soak``: seconds, with one worker that leaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.kafka.embedded import EmbeddedKafka
from tests.campaigns.soak import plot, tell
from tests.campaigns.soak.judge import Rule, judged
from tests.campaigns.soak.plan import Plan
from tests.campaigns.soak.run import run
from tests.campaigns.soak.series import recorded

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

LEAKY = Plan(
    minutes=0.3, rate=1_000, fill=2_000, asks=5, every=0.5, segment_seconds=1, log_seconds=1,
    tampering=("leak", "2000000"),
)  # fmt: skip
#: What a healthy process takes on in its first half minute is no leak.
RULE = Rule(
    warmup_seconds=8, block_seconds=1, memory_mb_an_hour=20_000, handles_an_hour=7_200,
)  # fmt: skip
#: How long something waits is the machine's doing here: the tests share it.
_OF_TIME = ("the lag grows", "offsets waited", "until something", "stood still", "samples are")


async def test_a_leak_is_found_where_it_is_and_nothing_else_is_wrong(
    kafka: EmbeddedKafka, tmp_path: Path, fresh: str
) -> None:
    samples = tmp_path / "samples.jsonl"
    await run(kafka, tmp_path, LEAKY, samples, fresh)
    found = recorded(samples)
    assert found.end is not None
    answers = found.end["answers"]
    assert answers["200"] > answers.get("404", 0)  # a late segment is not found yet
    found.end["answers"] = {"200": answers["200"]}
    problems = [each for each in judged(found, RULE) if not any(t in each for t in _OF_TIME)]
    assert len(problems) == 2, problems
    assert problems[0].startswith("worker-0: memory grows by up to ")
    assert problems[1].startswith("worker-0: up to ")
    assert "descriptors" in problems[1]
    assert found.end["archived"] > 6_000
    assert "Did not hold" in tell.markdown(found, RULE, problems)
    assert plot.svg(found).count("<polyline") == len(found.processes) + 1

"""The benchmark's own promises: the same work for all, and nobody looks fast by skipping it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from pathlib import Path
from typing import Self

import orjson
import pytest

from bench.effects import Effect
from bench.generate import Workload, generate
from bench.measure import Result
from bench.processes import RunFailed
from bench.report import GOALS, Goal, numbers, update_page
from bench.rule import RANK, rank_of, record_line

WORKLOAD = Workload(events=30_000, warmup=0)


class Written(Effect):
    """Lines that somebody claims to have written."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = list(lines)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def count(self) -> int:
        return len(self._lines)

    async def complete(self) -> bool:
        return True

    async def lines(self) -> AsyncIterator[bytes]:
        for line in self._lines:
            yield line


def right_lines() -> dict[str, bytes]:
    """Event id → record line of every rise, by a rule that knows nothing of the generator."""
    held: Counter[str] = Counter()
    lines: dict[str, bytes] = {}
    for event in generate(WORKLOAD):
        raw = orjson.loads(event.value)
        if rank_of(raw) > held[raw["message_id"]]:
            held[raw["message_id"]] = rank_of(raw)
            lines[raw["id"]] = record_line(raw, 0)
    return lines


def test_the_stream_is_the_same_every_time_and_has_the_mix_it_promises() -> None:
    events = list(generate(WORKLOAD))
    assert events == list(generate(WORKLOAD))
    statuses = Counter(orjson.loads(event.value)["status"] for event in events)
    intermediate = sum(count for status, count in statuses.items() if status not in RANK)
    assert 0.58 < intermediate / len(events) < 0.65  # messages at the end have only begun
    assert 330 < sum(len(event.value) for event in events) / len(events) < 370
    assert len({event.partition for event in events}) == 4


def test_a_share_of_a_workload_is_a_beginning_of_the_same_kind() -> None:
    assert WORKLOAD.scaled(0.1) == Workload(events=3_000, warmup=0)
    assert len(list(islice(generate(WORKLOAD.scaled(0.1)), 5_000))) == 3_000


async def test_the_rises_are_those_of_an_independent_rule() -> None:
    rises = frozenset(event.rise for event in generate(WORKLOAD) if event.rise is not None)
    assert sum(event.first for event in generate(WORKLOAD)) < len(rises)
    await Written(right_lines().values()).check(rises)


@pytest.mark.parametrize("fault", ["missing", "extra", "repeated", "hash"])
async def test_a_result_that_is_not_exact_fails(fault: str) -> None:
    lines = right_lines()
    rises = frozenset(lines)
    first, *rest = lines.values()
    if fault == "missing":
        written = rest
    elif fault == "extra":
        written, rises = [first, *rest], rises - {next(iter(lines))}
    elif fault == "repeated":
        written = [first, first, *rest]
    else:
        written = [first.replace(b'"legal_hold":true', b'"legal_hold":false'), *rest]
    with pytest.raises(RunFailed):
        await Written(written).check(rises)


def test_ratios_are_formed_inside_a_round_and_reduced_to_their_median() -> None:
    rounds = [
        [_result("audit-stream", 10), _result("quix", 5)],
        [_result("audit-stream", 30), _result("quix", 10)],
        [_result("audit-stream", 8), _result("quix", 8)],
    ]
    assert numbers(rounds) == {"audit-stream": 10, "quix": 8, "audit-stream/quix": 2}


def test_a_verdict_knows_which_way_is_better() -> None:
    memory = next(goal for goal in GOALS if goal.key == "peak_rss_mb")
    assert [memory.verdict(mb) for mb in (400, 500, 601)] == _VERDICTS
    speed = Goal(title="", key="", goal=2, floor=1)
    assert [speed.verdict(ratio) for ratio in (2, 1.5, 0.9)] == _VERDICTS


def test_the_page_keeps_what_people_wrote_around_the_tables(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n\nBy hand.\n", "utf-8")
    update_page(page, "one\n")
    page.write_text(page.read_text("utf-8") + "\nAlso by hand.\n", "utf-8")
    update_page(page, "two\n")
    text = page.read_text("utf-8")
    assert text.index("By hand.") < text.index("two") < text.index("Also by hand.")
    assert "one" not in text


_VERDICTS = ["goal met", "floor met", "below the floor"]


def _result(contender: str, rate: int) -> Result:
    return Result(
        contender=contender,
        events=rate,
        seconds=1.0,
        start_seconds=0.0,
        cpu_seconds=1.0,
        peak_rss_bytes=1,
    )

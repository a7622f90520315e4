"""The judge of a soak: what is flat passes, what grows does not, and what was lost is said."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from tests.campaigns.soak.judge import Rule, judged
from tests.campaigns.soak.plan import Plan
from tests.campaigns.soak.series import of_lines
from tests.campaigns.soak.trend import blocks, trend

PLAN, RULE = Plan(), Rule()
Made = dict[str, Any]


def sample(at: float, noise: random.Random) -> Made:
    process = {
        "pss": 150e6 + noise.gauss(0, 3e6), "descriptors": 32 + noise.randrange(3), "threads": 14,
        "cpu_seconds": at / 10,
    }  # fmt: skip
    waiting = (at % PLAN.segment_seconds) * PLAN.rate + noise.gauss(0, 2000)
    said = {
        "audit_stream_loop_heartbeat_age_seconds": 0.1, "audit_stream_open_alarms": 0.0,
        "audit_stream_unarchived_offsets": waiting, "audit_stream_rebalances_total": 2.0,
        "audit_stream_archive_delay_seconds_sum": at * 17.0,
        "audit_stream_archive_delay_seconds_count": at,
    }  # fmt: skip
    return {
        "kind": "sample", "at": at, "processes": {"worker-0": process, "broker": process},
        "metrics": {"worker-0": said},
    }  # fmt: skip


END: Made = {
    "kind": "end", "sent": PLAN.events, "rises": 100, "archived": 100, "the_same": True,
    "answers": {"200": 7000}, "reconcile": {"unexplained": 0, "to_come": 0},
    "verify": {"verdict": "verified", "records": 100},
}  # fmt: skip


def problems(change: Callable[[Made], object] = lambda _: None, **end: Any) -> list[str]:
    """Of an hour in which each sample was changed."""
    noise = random.Random(1)
    samples = [sample(10.0 * number + 7, noise) for number in range(360)]
    for each in samples:
        change(each)
    start = {"kind": "start", "plan": asdict(PLAN)}
    lines = [start, *samples, END | end]
    return judged(of_lines(json.dumps(each) for each in lines), RULE)


def test_an_hour_that_is_flat_but_for_noise_passes() -> None:
    assert problems() == []


def test_memory_that_rises_by_fourteen_megabytes_an_hour_is_found_and_by_one_is_not() -> None:
    def leak(by: float) -> Callable[[Made], None]:
        def change(made: Made) -> None:
            made["processes"]["worker-0"]["pss"] += by * made["at"] / 3600

        return change

    [problem] = problems(leak(14e6))
    assert problem.startswith("worker-0: memory grows")
    assert problems(leak(1e6)) == []


def test_a_block_cache_that_fills_is_no_leak_and_hides_none() -> None:
    def filling(leak: float) -> Callable[[Made], None]:
        def change(made: Made) -> None:
            held = 60e6 * made["at"] / 3600
            made["metrics"]["worker-0"]["audit_stream_block_cache_bytes"] = held
            made["processes"]["worker-0"]["pss"] += held + leak * made["at"] / 3600

        return change

    assert problems(filling(0.0)) == []
    [problem] = problems(filling(14e6))
    assert problem.startswith("worker-0: memory grows")


def test_a_rise_that_ends_before_the_warm_up_does_is_none() -> None:
    def filling(made: Made) -> None:
        made["processes"]["worker-0"]["pss"] -= max(0.0, 900 - made["at"]) * 1e5

    assert problems(filling) == []


@pytest.mark.parametrize("what", ["descriptors", "threads"])
def test_ten_handles_more_an_hour_are_found(what: str) -> None:
    def leak(made: Made) -> None:
        made["processes"]["worker-0"][what] += made["at"] // 360

    [problem] = problems(leak)
    assert what in problem


def test_a_lag_that_creeps_is_found_before_it_is_long() -> None:
    def creep(made: Made) -> None:  # by 3.6 s an hour
        said = made["metrics"]["worker-0"]
        said["audit_stream_archive_delay_seconds_sum"] += 0.001 * made["at"] ** 2 / 2

    [problem] = problems(creep)
    assert problem.startswith("the lag grows by up to 3.")


def test_phases_in_which_partitions_seal_are_no_lag() -> None:
    """They drift: what waits at the moment of a sample rises by half, and each waits no longer."""

    def drift(made: Made) -> None:
        made["metrics"]["worker-0"]["audit_stream_unarchived_offsets"] += made["at"] * 8

    assert problems(drift) == []


def test_what_waits_too_long_once_is_found() -> None:
    def pause(made: Made) -> None:
        said = made["metrics"]["worker-0"]
        if 1800 < made["at"] < 1820:
            said["audit_stream_unarchived_offsets"] = 300_000.0
            said["audit_stream_loop_heartbeat_age_seconds"] = 8.0

    assert [each.split(" stood")[0] for each in problems(pause)] == [
        "worker-0: the event loop", "300,000 offsets waited",
    ]  # fmt: skip


def test_another_assignment_and_an_alarm_are_found() -> None:
    def unrest(made: Made) -> None:
        if made["at"] > 2000:
            made["metrics"]["worker-0"]["audit_stream_rebalances_total"] += 1
            made["metrics"]["worker-0"]["audit_stream_open_alarms"] = 1.0

    assert problems(unrest) == [
        "assignments: they were to stay as they are", "an alarm was open",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "end",
    [
        {"the_same": False}, {"sent": PLAN.events - 1}, {"answers": {"200": 6999, "404": 1}},
        {"reconcile": {"unexplained": 1, "to_come": 0}},
        {"verify": {"verdict": "verified", "records": 99}},
        {"verify": {"verdict": "tampered", "records": 100}},
    ],
)  # fmt: skip
def test_whatever_is_lost_is_said(end: Made) -> None:
    assert len(problems(**end)) == 1


def test_a_run_that_broke_off_does_not_pass() -> None:
    lines = [{"kind": "start", "plan": asdict(PLAN)}]
    lines += [sample(10.0 * number, random.Random(2)) for number in range(360)]
    assert judged(of_lines(map(json.dumps, lines)), RULE) == ["the run did not come to its end"]


def test_a_run_that_is_too_short_for_a_trend_is_not_judged() -> None:
    lines = [{"kind": "start", "plan": asdict(PLAN)}, sample(950.0, random.Random(3)), END]
    with pytest.raises(ValueError, match="no trend from 1 points"):
        judged(of_lines(map(json.dumps, lines)), RULE)


def test_the_trend_of_a_line_is_its_slope_and_its_interval_holds_it() -> None:
    noise = random.Random(4)
    assert trend([(float(t), 2.0 * t) for t in range(10)]) == (7200, 7200, 7200)
    found = trend([(float(t), 2.0 * t + noise.gauss(0, 30)) for t in range(60)])
    assert found.low < 7200 < found.high
    assert found.high - found.low < 3600


def test_a_blocks_peak_is_not_its_median() -> None:
    points = [(0.0, 1.0), (10.0, 900.0), (20.0, 2.0), (60.0, 5.0)]
    assert blocks(points, 60) == [(0, 2.0), (60, 5.0)]

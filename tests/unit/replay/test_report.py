"""What a comparison's counts come to: equal, differs, cannot judge."""

from __future__ import annotations

import pytest

from audit_stream.archive.range import Bound, parse_bound
from audit_stream.errors import ConfigError
from audit_stream.replay.report import PartitionReport, Verdict, verdict_of
from audit_stream.replay.tally import ANOTHER_LOG, LOG_ENDS, NO_MAP, RETENTION, Tally


def report(
    tally: Tally, *, newest: bool = True, asked: bool = False, complete: bool = True,
    error: str | None = None,
) -> PartitionReport:  # fmt: skip
    return PartitionReport(
        topic="t", generation=1, partition=0, newest=newest, asked_from=asked, tally=tally,
        complete=complete, error=error,
    )  # fmt: skip


def missed(reason: str, compared: int = 10) -> Tally:
    return Tally(in_range=compared + 5, compared=compared, not_comparable={reason: 5})


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (report(Tally(in_range=10, compared=10)), Verdict.EQUAL),
        (report(Tally(in_range=10, compared=10, differing=1)), Verdict.DIFFERS),
        (report(Tally(in_range=10, compared=10, differing=1), complete=False), Verdict.DIFFERS),
        (report(Tally(in_range=10, compared=10), complete=False), Verdict.CANNOT_JUDGE),
        (report(Tally(in_range=10, compared=10), error="gone"), Verdict.CANNOT_JUDGE),
        (report(Tally()), Verdict.EQUAL),  # a partition without a segment in range
        (report(missed(RETENTION)), Verdict.EQUAL),
        (report(missed(RETENTION), asked=True), Verdict.CANNOT_JUDGE),
        (report(missed(RETENTION, compared=0)), Verdict.CANNOT_JUDGE),
        (report(missed(NO_MAP)), Verdict.CANNOT_JUDGE),
        (report(missed(LOG_ENDS)), Verdict.CANNOT_JUDGE),
        (report(missed(ANOTHER_LOG, compared=0)), Verdict.CANNOT_JUDGE),
        (report(missed(ANOTHER_LOG, compared=0), newest=False), Verdict.EQUAL),
    ],
)
def test_the_verdict_of_a_partition(found: PartitionReport, verdict: Verdict) -> None:
    assert found.verdict is verdict


def test_the_verdict_of_all_is_the_worst_one() -> None:
    equal, differs = report(Tally()), report(Tally(differing=1))
    stopped = report(Tally(), complete=False)
    assert verdict_of([equal, equal]) is Verdict.EQUAL
    assert verdict_of([equal, stopped]) is Verdict.CANNOT_JUDGE
    assert verdict_of([stopped, differs, equal]) is Verdict.DIFFERS
    assert verdict_of([]) is Verdict.CANNOT_JUDGE


def test_a_beginning_behind_which_nothing_lies_is_no_comparison() -> None:
    """A wrong year in a daily job must not pass."""
    nothing, something = (
        report(Tally(), asked=True),
        report(Tally(in_range=1, compared=1), asked=True),
    )
    assert verdict_of([nothing, nothing]) is Verdict.CANNOT_JUDGE
    assert verdict_of([nothing, something]) is Verdict.EQUAL


def test_where_the_states_came_from() -> None:
    assert report(Tally(in_range=9, compared=9)).state == "raw log"
    assert report(Tally(in_range=9, compared=9, folded=1)).state == "archive"
    assert report(Tally(in_range=9)).state == "-"


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("0", Bound(0, is_time=False)),
        ("123456789", Bound(123_456_789, is_time=False)),
        ("2026-11-25T00:00:00Z", Bound(1_795_564_800_000, is_time=True)),
        ("2026-11-25T00:00:00", Bound(1_795_564_800_000, is_time=True)),
        ("2026-11-25", Bound(1_795_564_800_000, is_time=True)),
        ("2026-11-25T01:00:00.250+01:00", Bound(1_795_564_800_250, is_time=True)),
    ],
)
def test_offsets_and_times(text: str, bound: Bound) -> None:
    assert parse_bound(text, "--from") == bound


@pytest.mark.parametrize("text", ["", "-1", "now", "²", "1.5", "9" * 20])
def test_neither_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--from is neither an offset nor a time"):
        parse_bound(text, "--from")

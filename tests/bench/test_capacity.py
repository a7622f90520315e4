"""Sizes on paper: the arithmetic, and that the pages have every figure it needs."""

from __future__ import annotations

import pytest

from bench.capacity import FIGURES, PAGE, Measured, Size, markdown, number, rows

GIVEN = """
| messages a day | 86400000 | | |
| events a message | 2 | | |
| records an event | 0.5 | | |
| peak factor | 4 | × | |
| load at peak | 0.5 | | |
| partitions | 10 | | |
| segment seconds | 30 | | |
| segment records | 10000 | | |
| segment bytes | 8000000 | | |
| raw retention | 7 | | |
| replication | 3 | | |
| days of state | 10 | | |
| years kept | 1 | | |
| reads of an archived byte | 0 | | |
| object of a read | 300000 | | |
| price | A | B |
| a GB and month | 0.01 | 0.02 |
| 10,000 puts | 0.05 | 0 |
| 10,000 reads | 0 | 0 |
| a GB read | 0 | 0 |
"""
COST = Measured(
    cpu_seconds_an_event=10e-6, worker_bytes=300e6,
    restored_a_core_second=100_000, verified_a_core_second=60_000, state_bytes=50,
    changelog_bytes=40, raw_bytes=100, archive_bytes=280, subject_bytes=20, index_bytes=90,
    puts=2, reads=3, line_bytes=800,
)  # fmt: skip
SIZE = Size(rows(GIVEN), COST)


def test_a_thousand_messages_a_second_come_to_what_a_pencil_says() -> None:
    assert (SIZE.events, SIZE.records, SIZE.peak) == (172_800_000, 86_400_000, 8_000)
    assert SIZE.cores == pytest.approx(0.16)
    assert SIZE.workers == 1
    assert SIZE.state == 86_400_000 * 10 * 50
    assert SIZE.archived == 86_400_000 * 300


@pytest.mark.parametrize(
    ("change", "limit", "segments"),
    [
        ({}, "time", 28_800),  # 10 partitions, one each 30 s
        ({"segment seconds": "300"}, "records", 8_640),  # 100 records a second and partition
        ({"segment seconds": "300", "segment records": "50000"}, "bytes", 8_640),
    ],
)
def test_the_limit_that_comes_first_cuts(
    change: dict[str, str], limit: str, segments: float
) -> None:
    given = rows(GIVEN) | {name: [value] for name, value in change.items()}
    size = Size(given, COST)
    assert max(size.segment_limits, key=size.segment_limits.__getitem__) == limit
    assert size.segments == pytest.approx(segments)


def test_money_is_puts_and_a_store_that_fills_month_by_month() -> None:
    monthly, stored, whole = SIZE.money(0)
    a_month = 86_400_000 * 300 * 365.25 / 12 / 1e9
    assert monthly == pytest.approx(28_800 * 365.25 / 12 * 2 / 1e4 * 0.05)
    assert stored == pytest.approx(a_month * 12 * 0.01)
    assert whole == pytest.approx(12 * monthly + a_month * 0.01 * 78)
    assert SIZE.money(1)[1] == pytest.approx(2 * stored)


def test_a_row_that_is_not_there_or_has_no_number_is_named() -> None:
    with pytest.raises(ValueError, match="no table has a row 'nothing'"):
        number(rows(GIVEN), "nothing")
    with pytest.raises(ValueError, match="no number in cell 2 of 'partitions'"):
        number(rows(GIVEN), "partitions", 1)


def test_the_pages_have_every_figure_and_assumption() -> None:
    measured = Measured.of(FIGURES.read_text(), 800.0)
    text = markdown(Size(rows(PAGE.read_text()), measured))
    assert "| workers of one core, with room | " in text
    assert "| Azure Blob, hot, LRS | " in text

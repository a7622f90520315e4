"""The growth benchmark: its messages, what it counts them by, its rates by the million."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from bench.archive import BenchArchive
from bench.fingerprint import Fingerprint, of_archive
from bench.generate import Workload, delivered, generate
from bench.growth_state import Moment, by_million


def test_each_message_is_one_that_must_be_archived_and_none_comes_twice() -> None:
    events = list(delivered(5_000))
    assert len({event.key for event in events}) == len({event.rise for event in events}) == 5_000
    assert {orjson.loads(event.value)["status"] for event in events} == {"DELIVERED"}
    assert list(delivered(5_000)) == events
    assert next(delivered(1, seed=2)).key != events[0].key


def test_a_key_lies_where_the_javas_client_puts_it_also_among_64() -> None:
    few = [event.partition for event in delivered(200)]
    many = [event.partition for event in delivered(200, 64)]
    assert [each % 4 for each in many] == few  # 4 divides 64
    assert max(many) > 4


@pytest.mark.parametrize("wrong", ["missing", "twice", "another"])
def test_a_fingerprint_knows_what_is_missing_twice_or_another(wrong: str) -> None:
    ids = [f"evt_{number}" for number in range(100)]
    due, found = Fingerprint(), Fingerprint()
    changed = {
        "missing": ids[1:], "twice": [*ids[1:], ids[5]], "another": [*ids[1:], "evt_x"],
    }  # fmt: skip
    for each in ids:
        due.add(each)
    for each in reversed(changed[wrong]):
        found.add(each)
    assert found != due


def test_an_archive_has_the_fingerprint_of_what_was_due(tmp_path: Path) -> None:
    due, half = Fingerprint(), Fingerprint()
    for number, event in enumerate(generate(Workload(events=4_000, warmup=0))):
        if event.rise is not None:
            (due if number % 2 else half).add(event.rise)
    due.join(half)
    BenchArchive(folder=tmp_path).make(4_000)
    assert of_archive(tmp_path / "archive") == due


def test_rates_are_those_between_the_marks() -> None:
    moments = [
        Moment(at=second, archived=100 * second, cpu_seconds=second / 10, rss_bytes=second)
        for second in range(21)
    ]
    rows = by_million(moments, 1_000)
    assert [row[0] for row in rows] == [900, 1900, 2000][: len(rows)]
    assert rows[0][1] == 100
    assert rows[0][2] == pytest.approx(1000)
    assert rows[0][3] == 9

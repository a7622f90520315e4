"""What the campaign of faults concludes from logs, alarms and requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tests.campaigns.broken import (
    Outage,
    Told,
    Turn,
    most_in_a_second,
    outages,
    turns,
    while_broken,
    wrongly_told,
)

OPENED = Turn(10.0, "w", "archive", True, "no answer")
CLOSED = Turn(12.0, "w", "archive", False, "archive works again")


def line(at: float, message: str) -> str:
    time = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": time, "level": "ERROR", "logger": "x", "message": message})


def test_openings_and_closings_are_read_from_the_log() -> None:
    log = [
        line(9, "ALARM raw-topic:x: gone"), "Traceback of breaker: something",
        line(10, "ALARM breaker:archive: no answer"),
        line(12, "alarm closed breaker:archive: archive works again"),
    ]  # fmt: skip
    assert turns("w", log) == [OPENED, CLOSED]


def test_an_outage_is_from_an_opening_to_its_closing() -> None:
    assert outages([CLOSED, OPENED]) == [Outage("w", "archive", 10.0, 12.0)]


@pytest.mark.parametrize("found", [[OPENED], [CLOSED], [OPENED, OPENED, CLOSED]])
def test_what_does_not_take_turns_is_an_error(found: list[Turn]) -> None:
    with pytest.raises(ValueError, match="archive"):
        outages(found)


def test_each_turn_is_told_once_under_one_key() -> None:
    opened = Told("w", "breaker:archive", "open", "")
    closed = Told("w", "breaker:archive", "closed", "")
    assert wrongly_told([OPENED, CLOSED], [opened, closed]) == []
    for told in (
        [opened], [opened, opened, closed], [opened, closed._replace(key="breaker:archive:2")],
        [opened, closed._replace(worker="v")],
    ):  # fmt: skip
        assert wrongly_told([OPENED, CLOSED], told)


def test_requests_count_in_an_outage_of_their_worker_unless_under_way_at_its_opening() -> None:
    asked = [
        {"client": client, "at": at, "path": path}
        for client, at, path in [
            ("w", 9.9, "/a/1"), ("w", 10.1, "/a/1"), ("w", 10.5, "/a/1"), ("w", 10.6, "/s/1"),
            ("v", 10.7, "/a/1"), ("w", 11.9, "/a/2"), ("w", 12.1, "/a/3"),
        ]
    ]  # fmt: skip
    outage = [Outage("w", "archive", 10.0, 12.0)]
    assert while_broken(outage, asked, "/a") == {"w": [10.5, 11.9]}
    assert while_broken(outage, asked) == {"w": [10.5, 10.6, 11.9]}


@pytest.mark.parametrize(
    ("times", "most"),
    [([], 0), ([5.0], 1), ([1.0, 1.6, 2.2], 2), ([1.9, 2.1, 2.8, 9.0], 3), ([1.0, 2.0], 1)],
)
def test_any_second_counts_not_only_those_of_the_clock(times: list[float], most: int) -> None:
    assert most_in_a_second(times) == most

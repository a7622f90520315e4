"""The alarm board: one alarm per key until closed, told in every way there is, in order."""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path

import jsonschema
import pytest

from audit_stream.ports import Alerts
from audit_stream.telemetry.alarm import Alarm
from audit_stream.telemetry.alerts import AlarmBoard

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "topics/schemas/audit-ops-events.v1.schema.json").read_text("utf-8"))


class Recorder:
    """A `Teller` that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Alarm] = []
        self.calls: list[str] = []

    def __call__(self, alarm: Alarm) -> None:
        self.told.append(alarm)

    def hurry(self) -> None:
        self.calls.append("hurry")

    def flush(self, seconds: float) -> None:
        self.calls.append("flush")


class Broken(Recorder):
    def __call__(self, alarm: Alarm) -> None:
        raise RuntimeError


class Slow(Recorder):
    """Needs all the time it is given."""

    def flush(self, seconds: float) -> None:
        time.sleep(seconds)


def board(*tellers: Recorder) -> AlarmBoard:
    return AlarmBoard("worker-1", *tellers)


def test_the_board_is_the_alerts_port() -> None:
    alerts: Alerts = board()
    alerts.raise_alarm("breaker:archive", "the store does not answer")


def test_a_key_is_one_alarm_until_it_is_closed() -> None:
    way = Recorder()
    found = board(way)
    found.raise_alarm("fork:topic/3", "first")
    found.raise_alarm("fork:topic/3", "again")
    assert [alarm["summary"] for alarm in found.open()] == ["first"]
    found.close_alarm("fork:topic/3", "settled")
    assert found.open() == []
    found.raise_alarm("fork:topic/3", "once more")
    assert [(alarm.state, alarm.summary) for alarm in way.told] == [
        ("open", "first"),
        ("closed", "settled"),
        ("open", "once more"),
    ]


def test_an_alarm_says_who_what_when_and_how_bad() -> None:
    way = Recorder()
    before = time.time()
    board(way).raise_alarm("lost:t/0", "3 offsets", severity="warning")
    (alarm,) = way.told
    assert before <= alarm.at <= time.time()
    assert (alarm.key, alarm.state, alarm.severity) == ("lost:t/0", "open", "warning")
    assert (alarm.summary, alarm.worker) == ("3 offsets", "worker-1")


def test_a_closing_keeps_its_openings_severity() -> None:
    way = Recorder()
    found = board(way)
    found.raise_alarm("lost:t/0", "3 offsets", severity="warning")
    found.close_alarm("lost:t/0", "settled")
    assert [alarm.severity for alarm in way.told] == ["warning", "warning"]
    assert way.told[0].at <= way.told[1].at


def test_closing_what_is_not_open_tells_nobody() -> None:
    way = Recorder()
    board(way).close_alarm("fork:topic/3", "settled")
    assert way.told == []


def test_alarms_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    found = board()
    with caplog.at_level(logging.WARNING):
        found.raise_alarm("breaker:archive", "down")
        found.close_alarm("breaker:archive", "up")
    said = [record for record in caplog.records if "breaker:archive" in record.getMessage()]
    assert [record.levelname for record in said] == ["ERROR", "WARNING"]
    assert "breaker:archive: down" in caplog.text


def test_a_way_that_fails_does_not_stop_the_next_one() -> None:
    way = Recorder()
    board(Broken(), way).raise_alarm("breaker:archive", "down")
    assert len(way.told) == 1


def test_a_closing_from_another_thread_does_not_overtake_its_opening() -> None:
    class Slow(Recorder):
        def __call__(self, alarm: Alarm) -> None:
            if alarm.state == "open":
                closer.start()
                closer.join(0.2)  # time enough to overtake, if it can
            super().__call__(alarm)

    way = Slow()
    found = board(way)
    closer = threading.Thread(target=found.close_alarm, args=("breaker:archive", "up"))
    found.raise_alarm("breaker:archive", "down")
    closer.join()
    assert [alarm.state for alarm in way.told] == ["open", "closed"]


def test_many_threads_open_and_close_one_alarm_in_turn() -> None:
    way = Recorder()
    found = board(way)
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        for _ in range(50):
            found.raise_alarm("breaker:archive", "down")
            found.close_alarm("breaker:archive", "up")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    states = [alarm.state for alarm in way.told]
    assert len(states) >= 100
    assert states == ["open", "closed"] * (len(states) // 2)


def test_every_way_hurries_before_the_first_is_waited_for() -> None:
    order: list[str] = []

    class Noting(Recorder):
        def hurry(self) -> None:
            order.append("hurry")

        def flush(self, seconds: float) -> None:
            order.append("flush")

    board(Noting(), Noting()).flush(1)
    assert order == ["hurry", "hurry", "flush", "flush"]


def test_the_ways_share_the_time_of_a_flush() -> None:
    started = time.monotonic()
    board(Slow(), Slow(), Slow(), Slow(), Slow()).flush(0.4)
    assert 0.4 <= time.monotonic() - started < 1.6  # not 5 × 0.4


@pytest.mark.parametrize(
    ("key", "summary"),
    [
        ("breaker:archive", "down"),
        ("k" * 400, "s" * 4000),
        ("breaker:archive", ""),
        ("breaker:archive", "no such file: \udcff"),
        ("breaker:archive", "Größe 日本 🔴"),
    ],
)
def test_every_alarm_is_a_record_of_the_topic(key: str, summary: str) -> None:
    way = Recorder()
    found = board(way)
    found.raise_alarm(key, summary)
    found.close_alarm(key, summary)
    for alarm in way.told:
        document = alarm.document()
        jsonschema.Draft202012Validator(SCHEMA).validate(document)
        json.dumps(document, ensure_ascii=False).encode()

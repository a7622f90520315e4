"""A worker's board and its ways: what fails on one does not touch the others, nor the worker."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from audit_stream.app.alarms import alarm_board, ways
from audit_stream.errors import ConfigError
from audit_stream.settings import Settings
from tests.support.receiver import LIMIT_SECONDS, receiving

AWAY = "kafka://127.0.0.1:1"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "*")


def test_the_topic_is_always_a_way_and_the_webhook_where_it_is_set() -> None:
    assert list(ways(Settings.load())) == ["audit-ops-events"]
    assert list(ways(Settings.load(alert_webhook="https://example.org/"))) == [
        "webhook",
        "audit-ops-events",
    ]


@pytest.mark.parametrize(
    "flags",
    [
        {"alert_webhook_file": "nowhere"},
        {
            "alert_webhook": "https://example.org/",
            "alert_shape": "pagerduty",
            "alert_routing_key_file": "nowhere",
        },
        {"alert_webhook": "https://example.org/", "alert_ca_file": "nowhere"},
    ],
)
def test_a_file_that_cannot_be_read_is_told_at_start(flags: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"AUDIT_ALERT_\w+_FILE"):
        ways(Settings.load(**flags))


def test_a_broker_that_is_away_blocks_nobody() -> None:
    with receiving() as receiver:
        board = alarm_board(Settings.load(broker=AWAY, alert_webhook=receiver.url))
        started = time.monotonic()
        for number in range(300):  # more than wait in a queue
            board.raise_alarm(f"fork:{number}", "two segments under one name")
        assert time.monotonic() - started < LIMIT_SECONDS / 2
        assert [body["key"] for body in receiver.take(3)] == ["fork:0", "fork:1", "fork:2"]
        started = time.monotonic()
        board.flush(0.5)
        assert time.monotonic() - started < LIMIT_SECONDS / 2
        board.flush(LIMIT_SECONDS)  # its threads must not be busy during the tests behind it
    assert len(board.open()) == 300


def test_the_worker_is_named_as_its_member() -> None:
    with receiving() as receiver:
        settings = Settings.load(broker=AWAY, alert_webhook=receiver.url, instance_id="worker-7")
        alarm_board(settings).raise_alarm("breaker:archive", "down")
        assert receiver.take(1)[0]["worker"] == "worker-7"

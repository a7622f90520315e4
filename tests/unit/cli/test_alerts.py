"""`audit-stream alerts test`: each way is tried, and what it said is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_stream.cli.main import run_command
from tests.support.receiver import Receiver, answer, receiving

Captured = pytest.CaptureFixture[str]
SECRET = "hunter2hunter2hunter2hunter2abcd"


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is away, and no proxy."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("AUDIT_BROKER", "kafka://127.0.0.1:1")
    monkeypatch.setenv("AUDIT_INSTANCE_ID", "worker-7")


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as found:
        monkeypatch.setenv("AUDIT_ALERT_WEBHOOK", f"{found.url}?token={SECRET}")
        yield found


def ways(capsys: Captured) -> dict[str, tuple[str, str]]:
    rows = json.loads(capsys.readouterr().out)
    return {row["way"]: (row["opening"], row["closing"]) for row in rows}


def test_each_way_is_tried_and_one_that_fails_is_told(receiver: Receiver, capsys: Captured) -> None:
    assert run_command(["alerts", "test", "--json"]) == 1
    found = ways(capsys)
    assert found["webhook"] == ("accepted", "accepted")
    assert all("no Kafka broker answers" in said for said in found["audit-ops-events"])
    opening, closing = receiver.take(2)
    assert (opening["state"], closing["state"]) == ("open", "closed")
    assert opening["key"] == closing["key"] == "test:alerts"
    assert opening["worker"] == "worker-7"
    assert opening["severity"] == "critical"


def test_the_shape_of_the_settings_is_sent(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_ALERT_SHAPE", "pagerduty")
    monkeypatch.setenv("AUDIT_ALERT_ROUTING_KEY", SECRET)
    monkeypatch.setenv("AUDIT_ARCHIVE_NAME", "audit.example")
    run_command(["alerts", "test"])
    trigger, resolve = receiver.take(2)
    assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
    assert trigger["dedup_key"] == resolve["dedup_key"] == "audit.example/test:alerts"
    assert trigger["routing_key"] == resolve["routing_key"] == SECRET


def test_a_refusal_is_told_with_its_hint_and_without_the_url(
    receiver: Receiver, capsys: Captured
) -> None:
    receiver.answers = [answer(404), answer(200)]
    assert run_command(["alerts", "test"]) == 1
    printed = capsys.readouterr()
    assert "HTTP 404" in printed.out
    assert "AUDIT_ALERT_WEBHOOK" in printed.out
    assert SECRET not in printed.out + printed.err
    assert receiver.posts.qsize() == 2  # the closing is tried, too


def test_without_a_webhook_it_says_so(capsys: Captured) -> None:
    assert run_command(["alerts", "test", "--json"]) == 1
    printed = capsys.readouterr()
    assert "no webhook is set" in printed.err
    assert [row["way"] for row in json.loads(printed.out)] == ["audit-ops-events"]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("AUDIT_ALERT_SHAPE", "slack", "a URL is missing"),
        ("AUDIT_ALERT_WEBHOOK_FILE", "nowhere", "cannot read the file"),
    ],
)
def test_settings_that_cannot_work_are_wrong_use(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    assert run_command(["alerts", "test"]) == 2
    assert says in capsys.readouterr().err


def test_authorities_that_cannot_be_loaded_are_wrong_use(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("AUDIT_ALERT_CA_FILE", "nowhere.pem")
    assert run_command(["alerts", "test"]) == 2
    assert "AUDIT_ALERT_CA_FILE" in capsys.readouterr().err
    assert receiver.posts.qsize() == 0

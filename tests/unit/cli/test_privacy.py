"""`audit-stream privacy map` without a broker; with one: tests/integration/test_privacy.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audit_stream.cli.main import run_command
from audit_stream.privacy.places import PLACES

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_BROKER", "kafka://127.0.0.1:1")
    monkeypatch.setenv("AUDIT_ARCHIVE", "azure://account/archive")
    monkeypatch.setenv("AUDIT_TOPICS", "calls_status,letters_status")
    monkeypatch.setenv("AUDIT_REKEY_TOPICS", "letters_status")
    monkeypatch.setenv("AUDIT_APP_ID", "fleet-a")


def mapped(capsys: Captured, *words: str) -> dict[str, Any]:
    assert run_command(["privacy", "map", "--json", *words]) == 0
    return {each["name"]: each for each in json.loads(capsys.readouterr().out)}


def test_every_place_is_where_this_installation_has_it(capsys: Captured) -> None:
    found = mapped(capsys, "--offline")
    assert list(found) == [place.name for place in PLACES]
    assert found["raw-topics"]["where"] == ["calls_status", "letters_status"]
    assert found["rekeyed-topics"]["where"] == ["letters_status-rekeyed"]
    assert found["changelog"]["where"] == ["fleet-a-precedence-changelog"]
    assert found["records"]["where"] == ["azure://account/archive/segments/"]
    assert found["private-objects"]["where"] == ["azure://account/archive-subjects/private/"]


def test_a_broker_that_is_away_leaves_the_declared_retention(capsys: Captured) -> None:
    (quarantine,) = mapped(capsys)["quarantine"]["retention"]
    assert quarantine == {
        "topic": "audit-quarantine", "declared_ms": 90 * 86_400_000, "in_force_ms": None,
        "gone_after_ms": None, "standing": "broker not reachable",
    }  # fmt: skip
    assert run_command(["privacy", "map"]) == 0
    captured = capsys.readouterr()
    assert "audit-quarantine: 90 days declared; broker not reachable" in captured.out
    assert "as declared, not as in force" in captured.err


def test_nobody_is_asked_offline(capsys: Captured) -> None:
    (quarantine,) = mapped(capsys, "--offline")["quarantine"]["retention"]
    assert quarantine["standing"] == "not asked"

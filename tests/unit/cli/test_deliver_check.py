"""`audit-stream deliver check`, as an operator sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit_stream.cli.main import run_command
from audit_stream.delivery.checking import check_name
from audit_stream.delivery.probing import parse_check
from audit_stream.stores.subjects import FileSubjectStore
from tests.support.told import ToldReceiver, told_receiver

Captured = pytest.CaptureFixture[str]
TOKEN = "hunter2hunter2"
DAY = 86_400


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToldReceiver]:
    with told_receiver() as receiver:
        for name, value in {
            "URL": receiver.url, "TOKEN": TOKEN, "SYNCHRONOUS": "true", "NAME": "siem-1",
            "POSITIONS": (tmp_path / "positions").as_uri(),
        }.items():  # fmt: skip
            monkeypatch.setenv(f"AUDIT_DELIVERY_{name}", value)
        monkeypatch.setenv("AUDIT_ARCHIVE_NAME", "audit.example")
        monkeypatch.setenv("NO_PROXY", "*")
        yield receiver


def checked(capsys: Captured, code: int) -> Any:
    assert run_command(["deliver", "check", "--json"]) == code
    said = capsys.readouterr()
    assert TOKEN not in said.out + said.err
    return json.loads(said.out)


def a_day_passes(folder: Path) -> None:
    store, name = FileSubjectStore(folder / "positions"), check_name("siem-1")
    kept = store.get_sync(name)
    assert kept is not None
    check = parse_check(kept.data, name)
    assert store.replace_sync(name, replace(check, began=check.began - DAY).encode(), kept.etag)


def test_a_receiver_that_honours_keys(
    receiver: ToldReceiver, tmp_path: Path, capsys: Captured
) -> None:
    first = checked(capsys, 0)
    assert (first["verdict"], first["later"], first["remembered_seconds"]) == ("honoured", None, 0)
    assert checked(capsys, 0) == first
    assert len(receiver.posts) == 4
    a_day_passes(tmp_path)
    after = checked(capsys, 0)
    assert (after["soon"], after["later"]) == ("honoured", "honoured")
    assert after["remembered_seconds"] >= DAY
    assert run_command(["deliver", "check"]) == 0
    assert "a key was remembered for 24 h" in capsys.readouterr().out


def test_a_receiver_that_honours_none(receiver: ToldReceiver, capsys: Captured) -> None:
    receiver.remembers = False
    found = checked(capsys, 1)
    assert (found["target"], found["verdict"]) == ("siem-1", "not_honoured")


def test_a_receiver_that_can_be_asked(
    receiver: ToldReceiver, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer = lambda *_: (200, {}, b"")
    assert checked(capsys, 1)["verdict"] == "unknown"
    receiver.posts.clear()
    monkeypatch.setenv("AUDIT_DELIVERY_NAME", "siem-2")
    monkeypatch.setenv(
        "AUDIT_DELIVERY_CHECK_URL", receiver.url.replace("notifications", "count/{key}")
    )
    assert checked(capsys, 0)["verdict"] == "honoured"
    receiver.remembers = False
    monkeypatch.setenv("AUDIT_DELIVERY_NAME", "siem-3")
    assert checked(capsys, 1)["why"] == "it has 2 posts under one key"


@pytest.mark.parametrize(("name", "value", "said"), [
    ("AUDIT_DELIVERY_URL", "", "there is no receiver"),
    ("AUDIT_DELIVERY_CHECK_URL", "https://elsewhere.example/{key}", "another origin"),
    ("AUDIT_DELIVERY_CHECK_URL", "http://127.0.0.1:1/{key}", "another origin"),
    ("AUDIT_DELIVERY_CHECK_URL", "http://127.0.0.1:1/count", "with {key} in it"),
    ("AUDIT_DELIVERY_CHECK_URL", "siem/{key}", "with {key} in it"),
])  # fmt: skip
def test_settings_that_do_not_fit_are_said_before_anything_is_posted(
    receiver: ToldReceiver, capsys: Captured, monkeypatch: pytest.MonkeyPatch, name: str,
    value: str, said: str,
) -> None:  # fmt: skip
    monkeypatch.setenv(name, value)
    assert run_command(["deliver", "check"]) == 2
    assert said in capsys.readouterr().err
    assert receiver.posts == []


def test_a_receiver_that_is_away_is_not_judged(receiver: ToldReceiver, capsys: Captured) -> None:
    receiver.statuses = [503]
    assert run_command(["deliver", "check"]) == 1
    assert "HTTP 503" in capsys.readouterr().err
    assert checked(capsys, 0)["verdict"] == "honoured"

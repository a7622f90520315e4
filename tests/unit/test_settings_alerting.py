"""How the settings say where alarms go, and that no secret shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audit_stream.errors import ConfigError
from audit_stream.settings import Settings

SECRET = "hunter2hunter2hunter2hunter2abcd"
URL = f"https://hooks.example.org/{SECRET}"
PAGER: dict[str, Any] = {
    "alert_webhook": "https://events.pagerduty.com/v2/enqueue", "alert_shape": "pagerduty",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(**flags: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Settings.load(**flags)
    return caught.value


def test_by_default_there_is_no_webhook() -> None:
    assert Settings.load().webhook_url() is None


def test_the_url_is_given_or_lies_in_a_file() -> None:
    given = Settings.load(alert_webhook=URL).webhook_url()
    Path("url").write_text(f"{URL}\n")
    read = Settings.load(alert_webhook_file="url").webhook_url()
    assert given is not None
    assert read is not None
    assert given() == read() == URL


def test_a_file_is_read_again_so_that_its_secret_may_rotate() -> None:
    Path("url").write_text("https://old.example/")
    read = Settings.load(alert_webhook_file="url").webhook_url()
    assert read is not None
    assert read() == "https://old.example/"
    Path("url").write_text(URL)
    assert read() == URL


def test_the_routing_key_is_given_or_lies_in_a_file() -> None:
    Path("key").write_text(f"{SECRET}\n")
    assert Settings.load(**PAGER, alert_routing_key=SECRET).routing_key()() == SECRET
    assert Settings.load(**PAGER, alert_routing_key_file="key").routing_key()() == SECRET
    assert Settings.load(alert_webhook=URL).routing_key()() == ""


@pytest.mark.parametrize(
    ("flags", "setting"),
    [
        ({"alert_webhook": "http:///path"}, "ALERT_WEBHOOK"),
        ({"alert_webhook": "https://host:port/"}, "ALERT_WEBHOOK"),
        ({"alert_webhook": "https://[::1/"}, "ALERT_WEBHOOK"),
        ({"alert_webhook": "file:///etc/passwd"}, "ALERT_WEBHOOK"),
        ({"alert_shape": "slack"}, "ALERT_WEBHOOK"),
        ({"alert_webhook": URL, "alert_shape": "email"}, "ALERT_SHAPE"),
        (PAGER, "ALERT_ROUTING_KEY"),
        ({"alert_webhook": URL, "alert_routing_key": SECRET}, "ALERT_SHAPE"),
    ],
)
def test_what_cannot_work_is_refused_by_name(flags: dict[str, Any], setting: str) -> None:
    error = refused(**flags)
    assert error.message.startswith(f"AUDIT_{setting}")
    assert error.hint
    assert SECRET not in str(error)


@pytest.mark.parametrize("text", [f"not a URL {SECRET}", None])
def test_a_file_without_a_url_is_named(text: str | None) -> None:
    if text is not None:
        Path("url").write_text(text)
    url = Settings.load(alert_webhook_file="url").webhook_url()
    assert url is not None
    with pytest.raises(ConfigError, match="AUDIT_ALERT_WEBHOOK_FILE") as caught:
        url()
    assert SECRET not in str(caught.value)


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_ALERT_ROUTING_KEY", SECRET)
    monkeypatch.setenv("AUDIT_ALERT_WEBHOOK", URL)
    settings = Settings.load(alert_shape="pagerduty")
    shown = settings.as_table()
    assert SECRET not in f"{settings!r} {settings} {shown} {settings.model_dump()}"
    assert shown["AUDIT_ALERT_ROUTING_KEY"] == shown["AUDIT_ALERT_WEBHOOK"] == "********"

"""How the settings name a receiver: what is refused before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audit_stream.delivery.body import KeyForm
from audit_stream.errors import ConfigError
from audit_stream.settings import Settings

GOOD: dict[str, Any] = {"delivery_url": "https://siem.example", "delivery_token": "s3cr3t"}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_url_without_a_path_gets_the_default_one() -> None:
    for url in ("https://siem.example", "https://siem.example/"):
        made = Settings.load(**GOOD | {"delivery_url": url}).delivery_endpoint()
        assert made.url == "https://siem.example/api/v1/compliance/notifications"
    made = Settings.load(**GOOD | {"delivery_url": "https://siem.example/in?v=1"})
    assert made.delivery_endpoint().url == "https://siem.example/in?v=1"


def test_without_a_receiver_nothing_is_needed_and_nothing_delivered() -> None:
    with pytest.raises(ConfigError, match="no receiver"):
        Settings.load().delivery_endpoint()


@pytest.mark.parametrize(
    ("flags", "setting"),
    [
        ({"delivery_url": "siem.example"}, "AUDIT_DELIVERY_URL"),
        ({"delivery_url": "https://me:pw@siem.example"}, "AUDIT_DELIVERY_URL"),
        ({"delivery_url": "http://siem.example"}, "AUDIT_DELIVERY_URL"),
        ({"delivery_url": "http://127.0.0.1.evil.example"}, "AUDIT_DELIVERY_URL"),
        ({"delivery_token": None}, "AUDIT_DELIVERY_TOKEN"),
        ({"delivery_token": "two words"}, "AUDIT_DELIVERY_TOKEN"),
        ({"delivery_token_file": "also"}, "AUDIT_DELIVERY_TOKEN"),
        ({"delivery_fields": "message_uuid"}, "AUDIT_DELIVERY_FIELDS"),
        ({"delivery_idempotency_key": "uuid"}, "AUDIT_DELIVERY_IDEMPOTENCY_KEY"),
        ({"delivery_name": "../x"}, "AUDIT_DELIVERY_NAME"),
        ({"delivery_positions": "https://x"}, "AUDIT_DELIVERY_POSITIONS"),
        ({"archive": "file:///a", "delivery_positions": "file:///a/b"}, "AUDIT_DELIVERY_POSITIONS"),
    ],
)
def test_what_cannot_work_is_refused_by_name(flags: dict[str, Any], setting: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.load(**GOOD | flags)
    assert setting in caught.value.message
    assert "two words" not in str(caught.value)
    assert "pw" not in str(caught.value).split()


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]"])
def test_this_machine_needs_no_tls(host: str) -> None:
    Settings.load(**GOOD | {"delivery_url": f"http://{host}"})
    Settings.load(**GOOD | {"delivery_url": "http://siem.example", "delivery_allow_http": True})


def test_the_token_shows_nowhere() -> None:
    settings = Settings.load(**GOOD)
    assert "s3cr3t" not in repr(settings) + str(settings.as_table())
    assert settings.delivery_bearer().current() == "s3cr3t"
    assert "s3cr3t" not in repr(settings.delivery_bearer())


def test_positions_lie_in_the_state_directory_unless_they_are_given() -> None:
    assert Settings.load(state_dir=Path("/s")).positions_url == "file:///s/delivery"
    assert Settings.load(delivery_positions="file:///p").positions_url == "file:///p"


def test_keys_are_written_as_they_are_made_of() -> None:
    for form in KeyForm:
        made = Settings.load(delivery_idempotency_key=form.value)
        assert made.delivery_idempotency_key is form
        assert made.as_table()["AUDIT_DELIVERY_IDEMPOTENCY_KEY"] == form.value

"""How the settings say how long a class is kept, and where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audit_stream.app.places import archive_store
from audit_stream.errors import ConfigError
from audit_stream.settings import Settings
from audit_stream.settings.retention import days_of
from audit_stream.stores.routed import RoutedStore

VOICE, SMS = "outbound_voice_status_update", "outbound_message_status_update"
REST = "COMPLIANCE_ARCHIVE_V1"
TAGS = f"{VOICE}=CALLS"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(monkeypatch: pytest.MonkeyPatch, **env: str) -> Settings:
    """From the environment, as a process has it; the archive too."""
    given = {"archive": "azure://acct/main", "regulatory_tags": TAGS} | env
    for name, value in given.items():
        monkeypatch.setenv(f"AUDIT_{name.upper()}", value)
    return Settings.load()


@pytest.mark.parametrize(
    ("period", "days"), [("7y", 2557), ("1y", 366), ("10y", 3653), ("4y", 1461), ("2557d", 2557)]
)
def test_years_are_never_less(period: str, days: int) -> None:
    assert days_of(period) == days


@pytest.mark.parametrize("period", ["7", "y", "0y", "-1d", "7 y", "7Y", "400y", "146001d", ""])
def test_what_is_no_time_is_refused(period: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # two texts
        days_of(period)


def test_seven_years_unless_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, retention="CALLS=10y")
    assert settings.classes == ("CALLS", REST)
    assert (settings.class_days("CALLS"), settings.class_days(REST)) == (3653, 2557)
    assert load(monkeypatch, retention_days="30").class_days(REST) == 30


def test_a_rekeyed_topic_is_of_its_raw_topics_class(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, rekey_topics=VOICE)
    assert settings.class_of(f"{VOICE}-rekeyed") == "CALLS"
    assert settings.class_of(SMS) == REST
    assert load(monkeypatch, rekey_topics="").class_of(f"{VOICE}-rekeyed") == REST


def test_each_containers_policy_must_be_as_long_as_what_lies_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = load(monkeypatch, retention="CALLS=10y")
    assert settings.store_access().retention_days == 3653  # all of it lies there
    settings = load(monkeypatch, retention="CALLS=10y", archives="CALLS=azure://acct/calls")
    assert settings.store_access().retention_days == 2557
    assert settings.store_access(tag="CALLS").retention_days == 3653


def test_a_class_has_a_store_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, archives="CALLS=azure://acct/calls")
    store = archive_store(settings)
    assert isinstance(store, RoutedStore)
    assert store.of(f"segments/{VOICE}/00001/00000/x").url == "azure://acct/calls"
    assert store.of(f"segments/{SMS}/00001/00000/x").url == "azure://acct/main"
    assert store.of("log/00000000000000000000.json").url == store.url == "azure://acct/main"
    monkeypatch.delenv("AUDIT_ARCHIVES")
    assert not isinstance(archive_store(Settings.load()), RoutedStore)


def test_another_archive_is_not_split_as_the_live_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, archives="CALLS=azure://acct/calls")
    assert Settings.load(archive="azure://acct/copy").archives == {}


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"retention": "CALLS=ever"}, "AUDIT_RETENTION: 'ever' is no time"),
        ({"retention": "NOBODYS=7y"}, "AUDIT_RETENTION: NOBODYS is no topic's class"),
        ({"archives": "NOBODYS=azure://acct/x-1"}, "AUDIT_ARCHIVES: NOBODYS is no topic's class"),
        ({"archives": "CALLS=ftp://x"}, "AUDIT_ARCHIVES"),
        ({"archives": "CALLS=azure://acct/main"}, "must not be the archive's"),
        ({"archives": f"CALLS=azure://acct/one, {REST}=azure://acct/one"}, "one container"),
        ({"archives": "CALLS=azure://acct/main-subjects"}, "AUDIT_SUBJECTS"),
    ],
)
def test_what_does_not_fit_is_said(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        load(monkeypatch, **env)

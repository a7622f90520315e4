"""Settings: where a value comes from, what fits together, and that no secret is ever shown."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from audit_stream.errors import ConfigError
from audit_stream.posture import Assurance
from audit_stream.settings import Settings, env_name
from audit_stream.settings.groups import DEFAULT_TAG
from audit_stream.settings.kafka import RAW_TOPICS

SECRET = "hunter2-secret"
SASL: dict[str, Any] = {
    "kafka_security": "SASL_SSL",
    "kafka_sasl_mechanism": "PLAIN",
    "kafka_sasl_username": "u",
}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing but what the test gives."""
    for variable in [found for found in os.environ if found.startswith("AUDIT_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


def toml(text: str, name: str = "settings.toml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def refused(**flags: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Settings.load(**flags)
    return caught.value


# -- where a value comes from


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Settings.load().partitions == 8
    path = toml("partitions = 3")
    assert Settings.load(path).partitions == 3
    monkeypatch.setenv("AUDIT_PARTITIONS", "5")
    assert Settings.load(path).partitions == 5
    assert Settings.load(path, partitions=7).partitions == 7


def test_a_flag_that_was_not_given_changes_nothing() -> None:
    assert Settings.load(toml("partitions = 3"), partitions=None).partitions == 3


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_PARTITIONS", "")
    assert Settings.load().partitions == 8


def test_the_environment_may_name_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_CONFIG", str(toml("partitions = 3")))
    assert Settings.load().partitions == 3
    assert Settings.load(toml("partitions = 4", "other.toml")).partitions == 4


def test_one_load_leaves_no_file_behind_for_the_next() -> None:
    Settings.load(toml("partitions = 3"))
    assert Settings.load().partitions == 8


def test_a_dotenv_file_is_not_read() -> None:
    Path(".env").write_text("AUDIT_PARTITIONS=3\n")
    assert Settings.load().partitions == 8


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("AUDIT_TOPICS", "a, b,", "topics", ("a", "b")),
        ("AUDIT_REGULATORY_TAGS", f"{RAW_TOPICS[0]}=X", "regulatory_tags", {RAW_TOPICS[0]: "X"}),
        ("AUDIT_ALLOW_ASSURANCE", "Mutable", "allow_assurance", Assurance.MUTABLE),
        ("AUDIT_WEB_PORT", "0", "web_port", 0),
        ("AUDIT_SEGMENT_MAX_SECONDS", "2.5", "segment_max_seconds", 2.5),
    ],
)
def test_the_environment_knows_strings_and_settings_know_types(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, field: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    assert getattr(Settings.load(), field) == value


def test_the_file_may_use_its_own_lists_and_tables() -> None:
    path = toml('topics = ["a"]\nregulatory_tags = { a = "X" }')
    settings = Settings.load(path)
    assert settings.topics == ("a",)
    assert settings.regulatory_tag("a") == "X"


# -- what is wrong is said in one sentence that names the setting


def test_an_unknown_line_of_the_file_is_refused_with_the_nearest_name() -> None:
    error = refused(config=toml("partition = 3"))
    assert (
        error.message == "the settings file settings.toml sets 'partition', which is not a setting"
    )
    assert error.hint == "did you mean partitions?"


def test_an_unknown_flag_is_refused() -> None:
    assert "the flags sets 'no_such'" in refused(no_such=1).message


def test_an_error_says_where_the_value_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(web_port=70_000).message.startswith("AUDIT_WEB_PORT (--web-port): ")
    path = toml("web_port = 70000")
    assert refused(config=path).message.startswith("AUDIT_WEB_PORT (web_port in settings.toml): ")
    monkeypatch.setenv("AUDIT_WEB_PORT", "70000")
    assert refused(config=path).message.startswith("AUDIT_WEB_PORT: ")


def test_the_hint_of_a_wrong_value_is_what_the_setting_means() -> None:
    assert refused(web_port=-1).hint == "Its port; 0 takes any free one."


def test_a_file_that_is_missing_or_no_toml_is_refused() -> None:
    assert "cannot read the settings file none.toml" in refused(config=Path("none.toml")).message
    assert "settings.toml" in refused(config=toml("a = = 1")).message
    Path("latin.toml").write_bytes(b"archive_name = '\xe9'")
    assert "latin.toml" in refused(config=Path("latin.toml")).message


@pytest.mark.parametrize(
    ("flags", "setting"),
    [
        ({"broker": "127.0.0.1:9092"}, "BROKER"),
        ({"broker": "kafka://"}, "BROKER"),
        ({"broker": "kafka://host"}, "BROKER"),
        ({"broker": "kafka://host:9092,"}, "BROKER"),
        ({"broker": "kafka://user:pw@host:9092"}, "BROKER"),
        ({"broker": "kafka://host:9092/path"}, "BROKER"),
        ({"archive": "relative/path"}, "ARCHIVE"),
        ({"archive": "file:///"}, "ARCHIVE"),
        ({"archive": "file://host/path"}, "ARCHIVE"),
        ({"archive": "s3://bucket/folder"}, "ARCHIVE"),
        ({"subjects": "file:"}, "SUBJECTS"),
        ({"archive": "file:///a", "subjects": "file:///a"}, "SUBJECTS"),
        ({"archive": "file:///a", "subjects": "file:///a/subjects"}, "SUBJECTS"),
        ({"archive_name": "two words"}, "ARCHIVE_NAME"),
        ({"archive_name": "a+b"}, "ARCHIVE_NAME"),
        ({"archive_name": ""}, "ARCHIVE_NAME"),
        ({"app_id": "a/b"}, "APP_ID"),
        ({"partitions": 0}, "PARTITIONS"),
        ({"replication": 0}, "REPLICATION"),
        ({"topics": ""}, "TOPICS"),
        ({"topics": ("a",), "rekey_topics": ("b",)}, "REKEY_TOPICS"),
        ({"topics": ("a",), "regulatory_tags": "b=X"}, "REGULATORY_TAGS"),
        ({"regulatory_tags": "no pair"}, "REGULATORY_TAGS"),
        ({"allow_assurance": "worm"}, "ALLOW_ASSURANCE"),
        ({"segment_max_records": 0}, "SEGMENT_MAX_RECORDS"),
        ({"segment_max_seconds": 0}, "SEGMENT_MAX_SECONDS"),
        ({"memory_budget_bytes": 1}, "MEMORY_BUDGET_BYTES"),
        ({"quarantine_brake_share": 1.1}, "QUARANTINE_BRAKE_SHARE"),
        ({"alert_webhook": "ftp://host/"}, "ALERT_WEBHOOK"),
        ({"log_level": "LOUD"}, "LOG_LEVEL"),
        ({"kafka_security": "TLS"}, "KAFKA_SECURITY"),
        ({"kafka_security": "SASL_SSL"}, "KAFKA_SECURITY"),
        (SASL, "KAFKA_SASL_PASSWORD"),
        ({**SASL, "kafka_security": "SSL", "kafka_sasl_password": "p"}, "KAFKA_SASL_MECHANISM"),
        ({"kafka_tls_ca": "ca.pem"}, "KAFKA_SECURITY"),
        ({"kafka_security": "SSL", "kafka_tls_key": "key.pem"}, "KAFKA_TLS_CERT"),
    ],
)
def test_what_cannot_work_is_refused_by_name(flags: dict[str, Any], setting: str) -> None:
    error = refused(**flags)
    assert error.message.startswith(f"AUDIT_{setting}")
    assert error.hint


@pytest.mark.parametrize(
    "broker",
    [
        "kafka://h:1",
        "kafka://a.example:9092,b.example:9093",
        "kafka://[::1]:9092",
        "kafka://h:1, i:2",
    ],
)
def test_brokers_that_can_work_are_taken(broker: str) -> None:
    assert Settings.load(broker=broker).bootstrap_servers == tuple(
        part.strip() for part in broker.removeprefix("kafka://").split(",")
    )


# -- secrets


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_KAFKA_SASL_PASSWORD", SECRET)
    monkeypatch.setenv("AUDIT_ALERT_WEBHOOK", f"https://example.org/{SECRET}")
    settings = Settings.load(**SASL)
    shown = settings.as_table()
    assert SECRET not in f"{settings!r} {settings} {shown} {settings.model_dump()}"
    assert shown["AUDIT_KAFKA_SASL_PASSWORD"] == shown["AUDIT_ALERT_WEBHOOK"] == "********"
    assert settings.sasl_password() == SECRET


@pytest.mark.parametrize(
    "flags",
    [
        {"alert_webhook": f"ftp://user:{SECRET}@host/"},
        {"kafka_sasl_password": SECRET, "kafka_security": "NONE"},
        {"kafka_sasl_password": SECRET, "web_port": -1},
        {"kafka_sasl_password": (SECRET,)},
    ],
)
def test_no_error_shows_a_secret(flags: dict[str, Any]) -> None:
    error = refused(**flags)
    assert SECRET not in f"{error} {error.__cause__} {error.hint}"


def test_the_password_may_lie_in_a_file() -> None:
    Path("password").write_text(f"{SECRET}\n")
    assert Settings.load(**SASL, kafka_sasl_password_file="password").sasl_password() == SECRET


def test_a_password_file_that_cannot_be_read_is_named() -> None:
    settings = Settings.load(**SASL, kafka_sasl_password_file="none")
    with pytest.raises(ConfigError, match="AUDIT_KAFKA_SASL_PASSWORD_FILE: cannot read"):
        settings.sasl_password()


def test_without_sasl_there_is_no_password() -> None:
    assert Settings.load().sasl_password() is None


# -- what follows from the rest


def test_by_default_everything_lies_under_the_working_directory() -> None:
    settings = Settings.load()
    assert settings.archive_path == Path.cwd() / "var" / "archive"
    assert settings.subjects_path == Path.cwd() / "var" / "archive-subjects"
    assert settings.allow_assurance is Assurance.WORM_LOCKED


def test_subjects_follow_the_archive() -> None:
    settings = Settings.load(archive="file:///data/archive/")
    assert settings.subjects == "file:///data/archive-subjects"
    assert settings.subjects_path == Path("/data/archive-subjects")


def test_paths_are_percent_decoded() -> None:
    folder = Path("/data/ünï cöde")
    assert Settings.load(archive=folder.as_uri()).archive_path == folder


def test_the_static_member_is_a_name_that_a_restart_takes_again() -> None:
    assert Settings.load(web_port=1234).static_member == f"{socket.gethostname()}-1234"
    assert Settings.load(web_port=0).static_member is None
    assert Settings.load(web_port=0, instance_id="w-1").static_member == "w-1"


def test_a_topic_without_a_tag_has_the_default_one() -> None:
    assert Settings.load().regulatory_tag(RAW_TOPICS[0]) == DEFAULT_TAG


def test_the_shipped_status_map_is_there_and_another_one_may_be_named() -> None:
    assert Settings.load().status_map_path.is_file()
    assert Settings.load(status_map="mine.json").status_map_path == Path("mine.json")


def test_settings_are_frozen() -> None:
    settings = Settings.load()
    with pytest.raises(ValidationError):
        settings.partitions = 3


# -- what is said of each


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_each_setting_says_what_it_means(name: str) -> None:
    description = Settings.model_fields[name].description
    assert description
    assert description.endswith((".", ")."))


def test_the_table_names_each_setting_once() -> None:
    assert set(Settings.load().as_table()) == {env_name(name) for name in Settings.model_fields}

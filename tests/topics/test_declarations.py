"""The topic files keep their contract, and a file that breaks it is refused."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from audit_stream.errors import ConfigError
from audit_stream.kafka.topics import (
    NAME_PATTERN,
    TOPICS_DIR_ENV,
    Topic,
    load_topic,
    load_topics,
    topics_dir,
)
from audit_stream.stream.quarantine import QUARANTINE_LIMIT
from audit_stream.stream.rekey import TWIN_LIMIT

TOPICS = topics_dir()
FILES = sorted(TOPICS.glob("*.yaml"))
DAY_MS = 86_400_000
BY_NAME = {path.name: load_topic(path) for path in FILES}
META = json.loads((TOPICS / "meta.schema.json").read_text("utf-8"))
RAW_TOPICS = [topic.topic for topic in BY_NAME.values() if topic.kind == "raw"]


def document(name: str = "audit-quarantine.yaml") -> dict[str, Any]:
    """A declaration as plain data."""
    loaded: dict[str, Any] = yaml.safe_load((TOPICS / name).read_text("utf-8"))
    return loaded


def broken_documents() -> list[Any]:
    """Ways to break a declaration, by name."""

    def broken(name: str, **changes: Any) -> Any:
        return pytest.param(document() | changes, id=name)

    configs = document()["configs"]
    without_owner = document()
    del without_owner["owner"]
    return [
        pytest.param(without_owner, id="owner missing"),
        broken("unknown member", color="red"),
        broken("dot in the name", topic="audit.quarantine"),
        broken("capital in the name", topic="Audit"),
        broken("unknown kind", kind="temporary"),
        broken("description too short", description="x"),
        broken("no producer", producers=[]),
        broken("partitions in words", partitions="many"),
        broken("no partition", partitions=0),
        broken("no replica", replicas=0),
        broken("unknown setting", configs=configs | {"segment.ms": 1}),
        broken("retention in words", configs=configs | {"retention.ms": "a month"}),
        broken("unclean elections", configs=configs | {"unclean.leader.election.enable": True}),
        broken("unknown role", acls={"everyone": ["READ"]}),
        broken("unknown operation", acls={"worker": ["DESTROY"]}),
        broken("schema without examples", schemas=[document()["schemas"][0] | {"examples": []}]),
    ]


def test_the_meta_schema_is_the_one_the_package_enforces() -> None:
    expected = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Topic.model_json_schema(),
    }
    assert expected == META


def test_the_meta_schema_allows_no_unknown_member_anywhere() -> None:
    objects = [META, *META["$defs"].values()]
    assert [part["additionalProperties"] for part in objects] == [False] * len(objects)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_matches_the_meta_schema(path: Path) -> None:
    jsonschema.Draft202012Validator(META).validate(yaml.safe_load(path.read_text("utf-8")))


@pytest.mark.parametrize("broken", broken_documents())
def test_a_broken_file_is_refused_by_meta_schema_and_loader(
    broken: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump(broken), "utf-8")
    assert not jsonschema.Draft202012Validator(META).is_valid(broken)
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        load_topic(path)


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "torn.yaml"
    path.write_text("topic: [unclosed", "utf-8")
    with pytest.raises(ConfigError, match=r"torn\.yaml"):
        load_topic(path)


def test_files_are_named_as_their_topics() -> None:
    named = {path.stem: BY_NAME[path.name].topic for path in FILES if ".template" not in path.name}
    assert all(stem == topic for stem, topic in named.items())


def test_names_of_all_topics_are_legal_and_without_dots() -> None:
    topics = load_topics(raw_topics=RAW_TOPICS, rekey_topics=RAW_TOPICS)
    names = [topic.topic for topic in topics]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.match(NAME_PATTERN, name)] == []


def test_every_topic_survives_the_loss_of_a_broker() -> None:
    for topic in BY_NAME.values():
        assert topic.replicas >= 3
        assert 2 <= topic.configs.min_insync_replicas < topic.replicas


def test_only_a_compacted_topic_is_kept_for_ever() -> None:
    for topic in BY_NAME.values():
        forever = topic.configs.retention_ms == -1
        assert forever == (topic.configs.cleanup_policy == "compact")


def test_raw_topics_are_stamped_by_the_broker_and_kept_thirty_days() -> None:
    raw = [topic for topic in BY_NAME.values() if topic.kind == "raw"]
    assert len(raw) == 3
    for topic in raw:
        assert topic.configs.timestamp_type == "LogAppendTime"
        assert topic.configs.retention_ms == 30 * DAY_MS
        assert topic.configs.max_message_bytes == 1 << 20
        assert topic.partitions == "fleet"


def test_the_rekeyed_twin_carries_original_timestamps_and_only_workers_write_it() -> None:
    twin = BY_NAME["raw-rekeyed.template.yaml"]
    writers = {role for role, allowed in twin.acls.items() if "WRITE" in allowed}
    assert twin.configs.timestamp_type == "CreateTime"
    assert twin.configs.max_message_bytes > 1 << 20
    assert writers <= {"worker", "operator"}
    assert "platform" not in twin.acls


def test_quarantine_takes_twice_the_largest_raw_record_and_keeps_it_as_long() -> None:
    quarantine = BY_NAME["audit-quarantine.yaml"].configs
    for topic in BY_NAME.values():
        if topic.kind in ("raw", "rekeyed"):
            assert quarantine.max_message_bytes > 2 * topic.configs.max_message_bytes
            assert quarantine.retention_ms >= topic.configs.retention_ms


def test_copies_are_cut_to_what_these_topics_take() -> None:
    assert BY_NAME["audit-quarantine.yaml"].configs.max_message_bytes == QUARANTINE_LIMIT
    assert BY_NAME["raw-rekeyed.template.yaml"].configs.max_message_bytes == TWIN_LIMIT


def test_the_platform_may_only_write_and_only_to_raw_topics() -> None:
    for topic in BY_NAME.values():
        allowed = set(topic.acls.get("platform", ()))
        assert allowed == ({"WRITE", "DESCRIBE"} if topic.kind == "raw" else set())


def test_personal_data_is_declared_where_raw_bytes_go() -> None:
    personal = {topic.topic for topic in BY_NAME.values() if topic.pii == "personal"}
    assert personal == {*RAW_TOPICS, "{raw}-rekeyed", "audit-quarantine"}


def test_templates_are_filled_in_for_this_installation() -> None:
    topics = load_topics(raw_topics=["calls"], rekey_topics=["calls"], app_id="archive-v2")
    kinds = {topic.topic: topic.kind for topic in topics}
    assert kinds["calls"] == "raw"
    assert kinds["calls-rekeyed"] == "rekeyed"
    assert kinds["archive-v2-precedence-changelog"] == "changelog"
    assert "outbound_voice_status_update" not in kinds


def test_the_changelog_is_named_as_the_table_names_it() -> None:
    names = [topic.topic for topic in load_topics(raw_topics=RAW_TOPICS)]
    assert "audit-stream-precedence-changelog" in names


def test_the_folder_can_be_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOPICS_DIR_ENV, str(tmp_path))
    assert topics_dir() == tmp_path
    with pytest.raises(ConfigError, match="holds no"):
        load_topics(raw_topics=["a"])


def test_a_folder_that_is_not_there_is_told_with_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOPICS_DIR_ENV, str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match=TOPICS_DIR_ENV):
        topics_dir()


def test_declarations_cannot_be_changed_by_accident() -> None:
    topic = copy.copy(BY_NAME["audit-segments.yaml"])
    with pytest.raises(ValueError, match="frozen"):
        topic.owner = "someone"  # type: ignore[misc]

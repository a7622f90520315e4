"""What the comparison of declarations and broker may do, and what it only reports."""

from __future__ import annotations

import dataclasses

import pytest

from audit_stream.kafka.topic_plan import (
    Alter,
    Create,
    Existing,
    Plan,
    Row,
    Wanted,
    diff,
    resolve,
    rows,
)
from audit_stream.kafka.topics import load_topics

DAY_MS = 86_400_000
CONFIGS = {
    "cleanup.policy": "delete",
    "retention.ms": str(7 * DAY_MS),
    "min.insync.replicas": "2",
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": "65536",
    "unclean.leader.election.enable": "false",
}
OURS = Wanted(name="audit-x", raw=False, partitions=4, replicas=3, configs=CONFIGS)
RAW = dataclasses.replace(OURS, name="calls", raw=True)
SAME = Existing(partitions=4, replicas=3, configs=CONFIGS)


def having(**changes: str) -> Existing:
    """A topic as declared but for some settings; underscores stand for dots."""
    changed = {name.replace("_", "."): value for name, value in changes.items()}
    return dataclasses.replace(SAME, configs=CONFIGS | changed)


def messages(plan: Plan) -> str:
    """All findings of a plan in one text."""
    return " | ".join(f"{finding.message}; {finding.hint}" for finding in plan.findings)


@pytest.mark.parametrize("topic", [OURS, RAW])
def test_a_topic_as_declared_needs_nothing(topic: Wanted) -> None:
    assert diff([topic], {topic.name: SAME}) == Plan()


@pytest.mark.parametrize("topic", [OURS, RAW])
def test_a_missing_topic_is_created(topic: Wanted) -> None:
    assert diff([topic], {}) == Plan(creates=(Create(topic=topic),))


@pytest.mark.parametrize(
    ("setting", "smaller"),
    [("retention.ms", "1000"), ("max.message.bytes", "1024"), ("min.insync.replicas", "1")],
)
def test_a_setting_of_ours_that_is_too_small_is_raised(setting: str, smaller: str) -> None:
    plan = diff([OURS], {"audit-x": having(**{setting: smaller})})
    change = Alter(topic="audit-x", setting=setting, before=smaller, after=CONFIGS[setting])
    assert plan == Plan(alters=(change,))


@pytest.mark.parametrize(
    ("setting", "larger"),
    [
        ("retention.ms", str(8 * DAY_MS)),
        ("retention.ms", "-1"),
        ("max.message.bytes", "70000"),
        ("min.insync.replicas", "3"),
    ],
)
def test_a_setting_of_ours_that_is_larger_is_never_shrunk(setting: str, larger: str) -> None:
    plan = diff([OURS], {"audit-x": having(**{setting: larger})})
    assert plan.alters == ()
    assert f"{setting} is {larger}" in messages(plan)


def test_a_compacted_topic_never_begins_to_delete() -> None:
    plan = diff([OURS], {"audit-x": having(cleanup_policy="compact")})
    assert plan.alters == ()
    assert "cleanup.policy is compact" in messages(plan)


def test_a_changelog_that_deletes_is_made_to_compact() -> None:
    wanted = dataclasses.replace(
        OURS, configs=CONFIGS | {"cleanup.policy": "compact", "retention.ms": "-1"}
    )
    plan = diff([wanted], {"audit-x": SAME})
    assert {alter.setting: alter.after for alter in plan.alters} == {
        "cleanup.policy": "compact",
        "retention.ms": "-1",
    }
    assert plan.findings == ()


@pytest.mark.parametrize("topic", [OURS, RAW])
def test_other_partition_counts_and_missing_replicas_are_reported(topic: Wanted) -> None:
    there = dataclasses.replace(SAME, partitions=5, replicas=2)
    plan = diff([topic], {topic.name: there})
    assert plan.changes == 0
    assert "5 partitions, 4 declared" in messages(plan)
    assert "2 replicas, 3 declared" in messages(plan)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"message_timestamp_type": "CreateTime"}, "LogAppendTime"),
        ({"cleanup_policy": "compact"}, "compacted"),
        ({"cleanup_policy": "compact,delete"}, "compacted"),
        ({"retention_ms": str(30 * DAY_MS + 1)}, "30 days"),
        ({"retention_ms": "-1"}, "30 days"),
        ({"retention_bytes": "1000000"}, "by size"),
        ({"unclean_leader_election_enable": "true"}, "unclean"),
    ],
)
def test_what_is_wrong_with_a_raw_topic_is_told_and_left(
    changes: dict[str, str], told: str
) -> None:
    plan = diff([RAW], {"calls": having(**changes)})
    assert plan.changes == 0
    assert len(plan.findings) == 1
    assert told in messages(plan)


@pytest.mark.parametrize(
    "changes",
    [
        {"retention_ms": str(30 * DAY_MS)},
        {"retention_ms": str(DAY_MS)},
        {"max_message_bytes": "2000000"},
        {"min_insync_replicas": "1"},
    ],
)
def test_a_raw_topic_may_be_the_platforms_own_way(changes: dict[str, str]) -> None:
    assert diff([RAW], {"calls": having(**changes)}) == Plan()


def test_raw_topics_of_different_partition_counts_are_told_together() -> None:
    other = dataclasses.replace(RAW, name="messages", partitions=4)
    plan = diff([RAW, other], {"calls": SAME, "messages": dataclasses.replace(SAME, partitions=6)})
    assert "calls 4, messages 6" in messages(plan)


def test_a_smaller_cluster_keeps_one_broker_to_spare() -> None:
    topics = load_topics(raw_topics=["calls"])
    insync = {
        count: {
            one.configs["min.insync.replicas"]
            for one in resolve(topics, partitions=5, replication=count)
        }
        for count in (1, 2, 3, 5)
    }
    assert insync == {1: {"1"}, 2: {"1"}, 3: {"2"}, 5: {"2"}}


def test_fleet_topics_follow_the_setting_and_replicas_the_declaration() -> None:
    resolved = {one.name: one for one in resolve(load_topics(raw_topics=["calls"]), partitions=5)}
    assert resolved["calls"].partitions == 5
    assert resolved["audit-stream-precedence-changelog"].partitions == 5
    assert resolved["audit-redactions"].partitions == 1
    assert {one.replicas for one in resolved.values()} == {3}


def test_rows_show_creations_then_changes_then_findings() -> None:
    small = dataclasses.replace(OURS, name="audit-y")
    plan = diff(
        [OURS, small, RAW],
        {"audit-y": having(retention_ms="1"), "calls": having(retention_ms="-1")},
    )
    shown = rows(plan)
    assert [row.mark for row in shown] == ["+", "~", "!"]
    assert shown[0].after.startswith("4 partitions, 3 replicas, cleanup.policy=delete")
    assert shown[1] == Row(
        mark="~", topic="audit-y", what="retention.ms", before="1", after=str(7 * DAY_MS)
    )

"""How long a topic keeps a record, by the broker's settings against the declared ones."""

from __future__ import annotations

import pytest

from audit_stream.kafka.retention import FOR_EVER, Standing, retention_of, unasked
from audit_stream.kafka.topics import Topic, load_topic, topics_dir

DAY = 86_400_000


def topic(name: str = "audit-quarantine") -> Topic:
    return load_topic(topics_dir() / f"{name}.yaml")


def in_force(**changed: str) -> dict[str, str]:
    settings = {
        "cleanup.policy": "delete", "retention.ms": str(90 * DAY), "segment.ms": str(7 * DAY),
        "file.delete.delay.ms": "60000",
    }  # fmt: skip
    return settings | {name.replace("_", "."): value for name, value in changed.items()}


def test_the_newest_of_a_log_segment_holds_back_its_oldest() -> None:
    found = retention_of(topic(), in_force())
    assert found.standing is Standing.AS_DECLARED
    assert found.declared_ms == found.in_force_ms == 90 * DAY
    assert found.gone_after_ms == 97 * DAY + 60_000


@pytest.mark.parametrize(
    ("changed", "standing"),
    [
        ({"retention_ms": str(91 * DAY)}, Standing.LONGER),
        ({"retention_ms": str(89 * DAY)}, Standing.SHORTER),
        ({"retention_ms": "-1"}, Standing.LONGER),
        ({"cleanup_policy": "compact"}, Standing.LONGER),
        ({"cleanup_policy": "compact,delete"}, Standing.AS_DECLARED),
    ],
)
def test_what_the_broker_has_is_held_against_the_declaration(
    changed: dict[str, str], standing: Standing
) -> None:
    assert retention_of(topic(), in_force(**changed)).standing is standing


def test_what_is_kept_for_ever_is_never_gone() -> None:
    assert retention_of(topic(), in_force(retention_ms="-1")).gone_after_ms == FOR_EVER
    assert retention_of(topic(), in_force(cleanup_policy="compact")).in_force_ms == FOR_EVER


def test_a_compacted_topic_is_declared_for_ever() -> None:
    declared = topic("precedence-changelog.template")
    found = retention_of(declared, in_force(cleanup_policy="compact", retention_ms="5"))
    assert found.declared_ms == FOR_EVER
    assert found.standing is Standing.AS_DECLARED


def test_a_topic_that_is_not_there_or_not_asked_has_no_retention_in_force() -> None:
    assert retention_of(topic(), None).standing is Standing.NO_TOPIC
    assert unasked(topic(), Standing.UNREACHABLE).in_force_ms is None

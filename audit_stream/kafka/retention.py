"""How long topics keep what they hold: as declared, and as the broker has it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from audit_stream.kafka.topics import Topic

FOR_EVER = -1  # as Kafka writes it


class Standing(Enum):
    """What the broker's word is against the declaration."""

    AS_DECLARED = "as declared"
    LONGER = "longer than declared"
    SHORTER = "shorter than declared"
    NO_TOPIC = "no such topic"
    NOT_ASKED = "not asked"
    UNREACHABLE = "broker not reachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Of one topic, in milliseconds; -1 is for ever, None unknown.

    `gone_after_ms`: when a record is deleted at the latest. Kafka deletes whole log segments, by
    the newest record in each, so a record can stay for the segment's time longer (`segment.ms`),
    and for the minutes until the broker looks.
    """

    topic: str
    declared_ms: int
    standing: Standing
    in_force_ms: int | None = None
    gone_after_ms: int | None = None


def retention_of(topic: Topic, in_force: Mapping[str, str] | None) -> Retention:
    """`in_force`: every setting the broker has for the topic; None when there is no such topic."""
    declared = _kept_ms(topic.configs.as_kafka())
    if in_force is None:
        return Retention(topic=topic.topic, declared_ms=declared, standing=Standing.NO_TOPIC)
    kept = _kept_ms(in_force)
    return Retention(
        topic=topic.topic, declared_ms=declared, in_force_ms=kept,
        gone_after_ms=gone_after_ms(in_force), standing=_compared(kept, declared),
    )  # fmt: skip


def gone_after_ms(in_force: Mapping[str, str]) -> int:
    """When a record of a topic with these settings is deleted at the latest; -1 is never."""
    kept = _kept_ms(in_force)
    slack = int(in_force["segment.ms"]) + int(in_force["file.delete.delay.ms"])
    return FOR_EVER if kept == FOR_EVER else kept + slack


def unasked(topic: Topic, standing: Standing) -> Retention:
    """As declared only."""
    declared = _kept_ms(topic.configs.as_kafka())
    return Retention(topic=topic.topic, declared_ms=declared, standing=standing)


def _kept_ms(configs: Mapping[str, str]) -> int:
    """A compacted topic keeps the last record of each key for ever."""
    deletes = "delete" in configs["cleanup.policy"]
    return int(configs["retention.ms"]) if deletes else FOR_EVER


def _compared(kept: int, declared: int) -> Standing:
    if kept == declared:
        return Standing.AS_DECLARED
    longer = kept == FOR_EVER or (declared != FOR_EVER and kept > declared)
    return Standing.LONGER if longer else Standing.SHORTER

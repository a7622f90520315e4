"""What a copy in quarantine says of itself, whatever headers its record came with."""

from __future__ import annotations

from typing import Any

from aiokafka import ConsumerRecord

from audit_stream.kafka.oversize import TRUNCATED_HEADER
from audit_stream.kafka.quarantine import Quarantined, parse_copy
from audit_stream.seal.judge import ORIGIN_HEADER

OURS = [
    ("reason", b"not-json"), ("source", b"t/2/0/7"), ("timestamp", b"12"), ("version", b"1"),
]  # fmt: skip


def parsed(*headers: tuple[str, bytes | None]) -> Quarantined:
    lying: Any = ConsumerRecord(
        "audit-quarantine", 0, 0, 1, 1, b"k", b"v", None, 1, 1, tuple(headers)
    )
    return parse_copy(lying)


def test_a_header_without_a_value_is_an_empty_one() -> None:
    """Kafka takes them, and the record's own go along: one ended the reading of all copies."""
    found = parsed(*OURS, ("theirs", None), (ORIGIN_HEADER, None))
    assert (found.reason, found.source, found.timestamp) == ("not-json", "t/2/0/7", 12)
    assert (found.key, found.value) == (b"k", b"v")
    assert found.first_position == "t/0/7"


def test_what_a_stranger_sent_there_is_told_as_far_as_it_can_be() -> None:
    found = parsed(("timestamp", None), ("reason", b"\xff"))
    assert (found.reason, found.timestamp, found.first_position) == ("\ufffd", -1, "unknown/0/0")
    assert parsed(("timestamp", b"soon")).timestamp == -1


def test_a_copy_is_cut_only_if_it_has_less_than_its_record_had() -> None:
    """A producer's header of that name kept a whole event from being retried."""
    assert parsed((TRUNCATED_HEADER, b"9000000")).cut_from == 9_000_000
    for whole in (b"1", b"0", b"soon", b"-7", b""):
        assert parsed((TRUNCATED_HEADER, whole)).cut_from is None

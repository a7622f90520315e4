"""Who is in the group: a group that nobody may look into is not an empty one."""

from __future__ import annotations

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaError,
)

from audit_stream.errors import BrokerError, BrokerRefused
from audit_stream.kafka.connect import KafkaConnection, translated
from audit_stream.kafka.group import processes_of
from audit_stream.settings import Settings

OURS = ("member-1", "audit-stream-worker-0123456789abcdef", "/127.0.0.1", b"", b"")
STATIC = ("pod-0-8080-0a1b2c3d-01234567-89ab-cdef-0123-456789abcdef", *OURS[1:])
DYNAMIC = ("audit-stream-worker-0123456789abcdef-01234567-89ab-cdef-0123-456789abcdef", *OURS[1:])
OTHER = ("faust-1-aa", "faust-1", "/127.0.0.1", b"", b"")


def test_members_are_named_as_the_fleet_names_them() -> None:
    stable = (0, "audit", "Stable", "consumer", "range", [OURS, STATIC, DYNAMIC, OTHER])
    assert processes_of([stable]) == [
        ("worker-0123456789abcdef", None), ("worker-0123456789abcdef", "pod-0-8080"),
        ("worker-0123456789abcdef", None), ("faust-1-aa", None),
    ]  # fmt: skip
    assert processes_of([(0, "audit", "Dead", "", "", [])]) == []


@pytest.mark.parametrize("error", [
    GroupAuthorizationFailedError, GroupCoordinatorNotAvailableError,
])  # fmt: skip
def test_a_group_that_is_not_described_has_not_been_left(error: type[KafkaError]) -> None:
    with pytest.raises(error):
        processes_of([(error.errno, "audit", "", "", "", [])])


@pytest.mark.parametrize(("error", "told"), [
    (GroupAuthorizationFailedError, BrokerRefused),
    (GroupCoordinatorNotAvailableError, BrokerError), (KafkaConnectionError, BrokerError),
])  # fmt: skip
async def test_the_barrier_is_told_in_our_words(
    error: type[KafkaError], told: type[BrokerError]
) -> None:
    with pytest.raises(told):
        async with translated(KafkaConnection.from_settings(Settings.load(None))):
            raise error

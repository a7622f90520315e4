"""Where a key belongs: murmur2, as Kafka's own Java clients spread keys."""

from __future__ import annotations

from aiokafka.partitioner import murmur2

_POSITIVE = 0x7FFFFFFF  # the Java client's toPositive


def key_hash(key: bytes) -> int:
    """The key's non-negative murmur2 hash."""
    return int(murmur2(key)) & _POSITIVE


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key in a topic of so many partitions."""
    return key_hash(key) % partitions

"""A sample of each batch: is it where its key belongs?"""

from __future__ import annotations

from audit_stream.kafka.partitioner import partition_of
from audit_stream.stream.context import Context
from audit_stream.stream.transport import BatchMessage


def sample_partition(context: Context, message: BatchMessage, partitions: int) -> None:
    """Look at one record; another partition than murmur2's is counted and an alarm.

    A platform with another partitioner would spread one message over partitions, each with a state
    of its own.
    """
    if not message.records or message.records[0].key is None:
        return
    if partition_of(message.records[0].key, partitions) != message.partition:
        context.metrics.misplaced_samples_total.labels(message.topic).inc()
        context.alerts.raise_alarm(
            f"partitioner:{message.topic}",
            f"{message.topic} is not partitioned by murmur2 of its key",
            severity="warning",
        )

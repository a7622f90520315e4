"""What one may ask Kafka without joining a group: topics, settings, ends, committed offsets."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion, UnknownTopicOrPartitionError, for_code

from audit_stream.errors import BrokerError, TopicError
from audit_stream.kafka.connect import KafkaConnection, open_admin, translated
from audit_stream.kafka.requests import DescribeTopics


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicInfo:
    """A topic as the broker has it. `topic_id` is Kafka's UUID (base64url, as Kafka prints it)."""

    name: str
    topic_id: str | None
    partitions: int
    replicas: int  # the least of any partition


async def describe_topics(
    connection: KafkaConnection, topics: Iterable[str]
) -> dict[str, TopicInfo]:
    """The topics that exist, by name. Never creates one. Raises BrokerError."""
    async with open_admin(connection) as admin:
        return await describe_with(admin, topics)


async def describe_with(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, TopicInfo]:
    """As `describe_topics`, on an open client; raises Kafka's own errors."""
    wanted = sorted(set(topics))
    try:
        # The public client speaks Metadata v5 only: no topic ids, and asking can create a topic.
        response = await admin._send_request(DescribeTopics(wanted))
    except (IncompatibleBrokerVersion, NotImplementedError):
        raise BrokerError(
            "the broker is too old: it does not know topic ids", hint="Kafka 2.8 or later"
        ) from None
    found: dict[str, TopicInfo] = {}
    for error_code, name, topic_id, _internal, partitions, *_ in response.topics:
        if error_code == UnknownTopicOrPartitionError.errno:
            continue
        if error_code:
            raise for_code(error_code)(name)
        found[name] = TopicInfo(
            name=name,
            topic_id=base64.urlsafe_b64encode(topic_id.bytes).decode("ascii").rstrip("="),
            partitions=len(partitions),
            replicas=min((len(partition[4]) for partition in partitions), default=0),
        )
    return found


async def live_brokers(connection: KafkaConnection) -> int:
    """How many brokers the cluster has now. Raises BrokerError."""
    async with open_admin(connection) as admin:
        response = await admin._send_request(DescribeTopics([]))
        return len(response.brokers)


async def topic_partitions(connection: KafkaConnection, topics: Iterable[str]) -> dict[str, int]:
    """Partition counts of the topics that exist. Raises BrokerError."""
    found = await describe_topics(connection, topics)
    return {name: info.partitions for name, info in found.items()}


async def topic_id(connection: KafkaConnection, topic: str) -> str | None:
    """Kafka's UUID of the topic, which changes when it is recreated; None when it is missing."""
    found = await describe_topics(connection, [topic])
    return found[topic].topic_id if topic in found else None


async def topic_configs(
    connection: KafkaConnection, topics: Iterable[str]
) -> dict[str, Mapping[str, str]]:
    """Every setting in force for each topic that exists. Raises BrokerError."""
    async with open_admin(connection) as admin:
        existing = await describe_with(admin, topics)
        return await configs_with(admin, existing)


async def configs_with(
    admin: AIOKafkaAdminClient, topics: Iterable[str]
) -> dict[str, Mapping[str, str]]:
    """As `topic_configs`, on an open client and topics that exist; raises Kafka's own errors."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics]
    found: dict[str, Mapping[str, str]] = {}
    for response in await admin.describe_configs(resources) if resources else ():
        for error_code, _message, _type, name, entries in response.resources:
            if error_code:
                raise for_code(error_code)(name)
            found[name] = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
    return found


async def topic_ends(
    connection: KafkaConnection, topics: Iterable[str]
) -> dict[tuple[str, int], tuple[int, int]]:
    """(topic, partition) → (log start, end = next offset to be written; control markers count).

    Raises TopicError when a topic is missing, BrokerError when the broker does not answer.
    """
    wanted = sorted(set(topics))
    counts = await topic_partitions(connection, wanted)
    if missing := [name for name in wanted if name not in counts]:
        raise TopicError(
            f"no such topic: {', '.join(missing)}", hint="run: audit-stream topics apply"
        )
    return await _ends(connection, counts)


async def ends_of_those_there(
    connection: KafkaConnection, topics: Iterable[str]
) -> dict[tuple[str, int], tuple[int, int]]:
    """As `topic_ends`; a topic that is gone, for good or until it is made again, is left out."""
    return await _ends(connection, await topic_partitions(connection, sorted(set(topics))))


async def _ends(
    connection: KafkaConnection, counts: Mapping[str, int]
) -> dict[tuple[str, int], tuple[int, int]]:
    parts = [TopicPartition(name, index) for name in counts for index in range(counts[name])]
    if not parts:
        return {}
    async with translated(connection):
        consumer = AIOKafkaConsumer(enable_auto_commit=False, **connection.client_options())
        try:
            await consumer.start()
            starts = await consumer.beginning_offsets(parts)
            ends = await consumer.end_offsets(parts)
        finally:
            await consumer.stop()
    return {(tp.topic, tp.partition): (starts[tp], ends[tp]) for tp in parts}


async def committed_by(
    connection: KafkaConnection, group: str
) -> dict[tuple[str, int], tuple[int, str]]:
    """(topic, partition) → (the group's committed offset, the text committed with it)."""
    async with open_admin(connection) as admin:
        found = await admin.list_consumer_group_offsets(group)
    return {
        (tp.topic, tp.partition): (entry.offset, entry.metadata or "")
        for tp, entry in found.items()
        if entry.offset >= 0
    }

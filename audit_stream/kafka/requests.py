"""Requests of Kafka's protocol that aiokafka lacks, built on its own request classes.

`DescribeTopics` is Metadata v12 (KIP-516 topic ids; aiokafka stops at v5), and never lets the
broker create a topic that was only asked about. `AlterTopicConfigs` is IncrementalAlterConfigs v0
(KIP-339): it changes the named settings alone, where AlterConfigs resets all others.
`NamedHeartbeat` and `LeaveByName` are Heartbeat v3 and LeaveGroup v3: they carry a static member's
name (KIP-345), where aiokafka's stop at v1.
Field lists: Kafka's ``MetadataRequest.json``, ``IncrementalAlterConfigsRequest.json``,
``HeartbeatRequest.json`` and ``LeaveGroupRequest.json``.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    String,
    TaggedFields,
)

_METADATA, _INCREMENTAL_ALTER_CONFIGS = 3, 44
_HEARTBEAT, _LEAVE_GROUP = 12, 13
_TOPIC_RESOURCE, _SET = 2, 0
#: Another process has joined under the static member's name.
FENCED_INSTANCE_ID = 82
_ZERO_ID = uuid.UUID(int=0)


class Uuid(AbstractType):  # type: ignore[misc]  # aiokafka has no types
    """Sixteen bytes, high half first."""

    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        """To the wire."""
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        """From the wire."""
        return uuid.UUID(bytes=data.read(16))


class DescribeTopicsResponseV12(Response):  # type: ignore[misc]  # aiokafka has no types
    """Brokers, and per topic: error code, name, id, partitions with their replicas."""

    API_KEY = _METADATA
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition_index", Int32),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("replica_nodes", CompactArray(Int32)),
                        ("isr_nodes", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("topic_authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class DescribeTopicsRequestV12(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    """The request as it goes over the wire."""

    FLEXIBLE_VERSION = True
    API_KEY = _METADATA
    API_VERSION = 12
    RESPONSE_TYPE = DescribeTopicsResponseV12
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_id", Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class DescribeTopics(Request[DescribeTopicsRequestV12]):  # type: ignore[misc]  # aiokafka has no types
    """Ask for the named topics; an unknown one comes back with an error code, not created."""

    API_KEY = _METADATA

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[DescribeTopicsRequestV12]) -> Any:
        """The wire form; called by aiokafka once it knows the broker's versions."""
        asked: list[tuple[uuid.UUID, str, dict[int, bytes]]] = [
            (_ZERO_ID, name, {}) for name in self._topics
        ]
        return request_struct_class(asked, False, False, {})


class AlterTopicConfigsResponseV0(Response):  # type: ignore[misc]  # aiokafka has no types
    """Per topic: error code and message."""

    API_KEY = _INCREMENTAL_ALTER_CONFIGS
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "responses",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class AlterTopicConfigsRequestV0(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    """The request as it goes over the wire."""

    API_KEY = _INCREMENTAL_ALTER_CONFIGS
    API_VERSION = 0
    RESPONSE_TYPE = AlterTopicConfigsResponseV0
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                (
                    "configs",
                    Array(
                        ("name", String("utf-8")),
                        ("config_operation", Int8),
                        ("value", String("utf-8")),
                    ),
                ),
            ),
        ),
        ("validate_only", Boolean),
    )


class AlterTopicConfigs(Request[AlterTopicConfigsRequestV0]):  # type: ignore[misc]  # aiokafka has no types
    """Set the given settings (topic → name → value) and leave every other one as it is."""

    API_KEY = _INCREMENTAL_ALTER_CONFIGS

    def __init__(self, configs: Mapping[str, Mapping[str, str]]) -> None:
        self._configs = configs

    def build(self, request_struct_class: type[AlterTopicConfigsRequestV0]) -> Any:
        """The wire form; called by aiokafka once it knows the broker's versions."""
        resources = [
            (_TOPIC_RESOURCE, topic, [(name, _SET, value) for name, value in settings.items()])
            for topic, settings in self._configs.items()
        ]
        return request_struct_class(resources, False)


class NamedHeartbeatResponseV3(Response):  # type: ignore[misc]  # aiokafka has no types
    """Error code."""

    API_KEY = _HEARTBEAT
    API_VERSION = 3
    SCHEMA = Schema(("throttle_time_ms", Int32), ("error_code", Int16))


class NamedHeartbeatRequestV3(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    """The request as it goes over the wire."""

    API_KEY = _HEARTBEAT
    API_VERSION = 3
    RESPONSE_TYPE = NamedHeartbeatResponseV3
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
    )


class NamedHeartbeat(Request[NamedHeartbeatRequestV3]):  # type: ignore[misc]  # aiokafka has no types
    """A static member's heartbeat; the answer has `FENCED_INSTANCE_ID` if another has its name."""

    API_KEY = _HEARTBEAT

    def __init__(self, group: str, generation: int, member: str, name: str) -> None:
        self._fields = group, generation, member, name

    def build(self, request_struct_class: type[NamedHeartbeatRequestV3]) -> Any:
        """The wire form; called by aiokafka once it knows the broker's versions."""
        return request_struct_class(*self._fields)


class LeaveByNameResponseV3(Response):  # type: ignore[misc]  # aiokafka has no types
    """Error code of all, and of each member."""

    API_KEY = _LEAVE_GROUP
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "members",
            Array(
                ("member_id", String("utf-8")),
                ("group_instance_id", String("utf-8")),
                ("error_code", Int16),
            ),
        ),
    )


class LeaveByNameRequestV3(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    """The request as it goes over the wire."""

    API_KEY = _LEAVE_GROUP
    API_VERSION = 3
    RESPONSE_TYPE = LeaveByNameResponseV3
    SCHEMA = Schema(
        ("group", String("utf-8")),
        (
            "members",
            Array(("member_id", String("utf-8")), ("group_instance_id", String("utf-8"))),
        ),
    )


class LeaveByName(Request[LeaveByNameRequestV3]):  # type: ignore[misc]  # aiokafka has no types
    """Take a static member out of its group; whoever has the name."""

    API_KEY = _LEAVE_GROUP

    def __init__(self, group: str, name: str) -> None:
        self._group, self._name = group, name

    def build(self, request_struct_class: type[LeaveByNameRequestV3]) -> Any:
        """The wire form; called by aiokafka once it knows the broker's versions."""
        return request_struct_class(self._group, [("", self._name)])

"""A consumer group from outside: who is in it by which static name, and what is assigned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Bytes, Int16, Int32, Schema, String

from audit_stream.kafka.connect import KafkaConnection, open_admin
from tests.support.fleet import Fleet

_TEXT = String("utf-8")


class DescribeResponseV4(Response):  # type: ignore[misc]
    API_KEY = 15
    API_VERSION = 4
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("groups", Array(
            ("error_code", Int16), ("group", _TEXT), ("state", _TEXT), ("protocol_type", _TEXT),
            ("protocol", _TEXT),
            ("members", Array(
                ("member_id", _TEXT), ("group_instance_id", _TEXT), ("client_id", _TEXT),
                ("client_host", _TEXT), ("metadata", Bytes), ("assignment", Bytes),
            )),
            ("authorized_operations", Int32),
        )),
    )  # fmt: skip


class DescribeRequestV4(RequestStruct):  # type: ignore[misc]
    API_KEY = 15
    API_VERSION = 4
    RESPONSE_TYPE = DescribeResponseV4
    SCHEMA = Schema(("groups", Array(_TEXT)), ("include_authorized_operations", Boolean))


class Describe(Request[DescribeRequestV4]):  # type: ignore[misc]
    """DescribeGroups v4: aiokafka's, which stops at v3, does not know static names."""

    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[DescribeRequestV4]) -> Any:
        return request_struct_class([self._group], False)


@dataclass(frozen=True)
class Group:
    state: str
    members: Mapping[str, tuple[str, bytes]]  # by static name: member id, assignment

    def assigned(self) -> dict[str, bytes]:
        return {name: assignment for name, (_, assignment) in self.members.items()}

    @property
    def is_stable(self) -> bool:
        return self.state == "Stable" and all(a for _, a in self.members.values())


async def group_of(fleet: Fleet) -> Group:
    settings = fleet.settings
    async with open_admin(KafkaConnection.from_settings(settings)) as admin:
        node = await admin.find_coordinator(settings.app_id)
        answer = await admin._send_request(Describe(settings.app_id), node)
    _, _, state, _, _, members, _ = answer.groups[0]
    return Group(state, {member[1]: (member[0], member[5]) for member in members})


async def has_members(fleet: Fleet, count: int) -> bool:
    """Whether so many are in the group, and each has its assignment."""
    group = await group_of(fleet)
    return group.is_stable and len(group.members) == count

"""Who is in the workers' consumer group, as the broker has it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from aiokafka.errors import for_code

from audit_stream.kafka.connect import CLIENT_ID, KafkaConnection, open_admin
from audit_stream.kafka.requests import LeaveByName

_ERROR, _MEMBERS = 0, 5  # of a group: error code, group, state, protocol type, protocol, members
_CLIENT_ID, _OTHER_ID = 1, 0  # of a member of DescribeGroups v0 to v3: member id, client id, …


#: A broker makes a static member's id of its name, which ends with a hash
#: (`app.build.member_name`), and of a UUID.
_NAMED = re.compile(r"(?P<name>.+)-[0-9a-f]{8}-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


async def group_processes(connection: KafkaConnection, group: str) -> list[tuple[str, str | None]]:
    """Who is in the group: the process, by the name its client has (`archive.fleet.Member.process`;
    of another release its member id), and the name it has as a static member. `BrokerError`.

    A static member that was away for less than its session has for the broker the client's name of
    the process before, which is gone: there only the name says who it is.
    """
    async with open_admin(connection) as admin:
        responses = await admin.describe_consumer_groups([group])
        return processes_of([found for response in responses for found in response.groups])


async def leave_group(connection: KafkaConnection, group: str, name: str) -> None:
    """Take a static member out of the group: its partitions are others' at once, not when its
    session has timed out. One that is not in it is left out already. `BrokerError`."""
    async with open_admin(connection) as admin:
        node = await admin.find_coordinator(group)
        answer = await admin._send_request(LeaveByName(group, name), node)
        if answer.error_code:
            raise for_code(answer.error_code)(f"leaving the group {group}")


def processes_of(groups: Sequence[Sequence[Any]]) -> list[tuple[str, str | None]]:
    """Of groups as a broker describes them. `KafkaError`: aiokafka passes over the code of one that
    a broker cannot or may not describe, which has no members then: nobody has left it by that."""
    for found in groups:
        if found[_ERROR]:
            raise for_code(found[_ERROR])(f"describing the group {found[1]}")
    members = [member for found in groups for member in found[_MEMBERS]]
    return [_process(member[_CLIENT_ID], member[_OTHER_ID]) for member in members]


def _process(client: str, member: str) -> tuple[str, str | None]:
    ours = f"{CLIENT_ID}-"
    if not client.startswith(ours):
        return member, None
    # A dynamic member's id begins with its client's name.
    named = None if member.startswith(client) else _NAMED.fullmatch(member)
    return client.removeprefix(ours), named and named["name"]

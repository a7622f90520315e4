"""What a broker says and does for whoever asks it at its own port, past every proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import for_code
from aiokafka.protocol.admin import AlterPartitionReassignmentsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Schema, String

_HOST = "127.0.0.1"
_TIMEOUT_MS = 5000
_PREFERRED = 0  # the kind of election
_PREFERRED_NOT_AVAILABLE, _NOT_NEEDED = 80, 84


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Who has it, as one broker knows; a leader of -1 is none."""

    topic: str
    index: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The cluster as one broker knows it: the brokers that are not fenced, every partition."""

    brokers: frozenset[int]
    partitions: tuple[Partition, ...]


class _ElectLeadersResponseV1(Response):
    API_KEY = 43
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("results", Array(
            ("topic", String("utf-8")),
            ("partitions", Array(
                ("partition", Int32), ("error_code", Int16), ("error_message", String("utf-8")),
            )),
        )),
    )  # fmt: skip


class _ElectLeadersRequestV1(RequestStruct):
    API_KEY = 43
    API_VERSION = 1
    RESPONSE_TYPE = _ElectLeadersResponseV1
    SCHEMA = Schema(
        ("election_type", Int8),
        ("topic_partitions", Array(
            ("topic", String("utf-8")), ("partitions", Array(Int32)),
        )),
        ("timeout_ms", Int32),
    )  # fmt: skip


class _ElectLeadersRequest(Request[_ElectLeadersRequestV1]):
    API_KEY = 43

    def __init__(self, topic: str, partitions: Sequence[int]) -> None:
        self._asked = [(topic, list(partitions))]

    def build(self, request_struct_class: type[_ElectLeadersRequestV1]) -> _ElectLeadersRequestV1:
        return request_struct_class(_PREFERRED, self._asked, _TIMEOUT_MS)


@asynccontextmanager
async def asking(port: int) -> AsyncIterator[AIOKafkaConnection]:
    """A connection to one broker's own port. Raises OSError, KafkaError or TimeoutError."""
    connection = await create_conn(_HOST, port, request_timeout_ms=_TIMEOUT_MS)
    try:
        yield connection
    finally:
        connection.close()


async def view(connection: AIOKafkaConnection) -> View:
    """What this broker knows, internal topics with the rest."""
    found = await connection.send(MetadataRequest(None, False))
    return View(
        brokers=frozenset(node for node, *_ in found.brokers),
        partitions=tuple(
            Partition(
                topic=topic, index=index, leader=leader, replicas=tuple(replicas),
                in_sync=frozenset(in_sync),
            )
            for _, topic, _, partitions in found.topics
            for _, index, leader, replicas, in_sync, *_ in partitions
        ),
    )  # fmt: skip


async def prefer(
    connection: AIOKafkaConnection, topic: str, replicas: Mapping[int, Sequence[int]]
) -> None:
    """Set the order of partitions' replicas; where only the order changes, no data moves."""
    parts: list[tuple[int, list[int], dict[int, bytes]]] = [
        (index, list(order), {}) for index, order in replicas.items()
    ]
    request = AlterPartitionReassignmentsRequest(_TIMEOUT_MS, [(topic, parts, {})], {})
    answer = await connection.send(request)
    _raise_for(answer.error_code)
    for _, partitions, _ in answer.responses:
        for _, code, *_ in partitions:
            _raise_for(code)


async def elect(connection: AIOKafkaConnection, topic: str, partitions: Sequence[int]) -> list[int]:
    """Let the first replica lead where it can; the partitions whose leader changed by that.

    One that is not in sync cannot, and one that leads already need not: both are no errors.
    """
    answer = await connection.send(_ElectLeadersRequest(topic, partitions))
    _raise_for(answer.error_code)
    changed = []
    for _, results in answer.results:
        for partition, code, _ in results:
            if code not in (_PREFERRED_NOT_AVAILABLE, _NOT_NEEDED):
                _raise_for(code)
                changed.append(partition)
    return changed


def _raise_for(code: int) -> None:
    if code:
        raise for_code(code)

"""Read the topics a cluster has, and carry a plan out."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from audit_stream.errors import BrokerError
from audit_stream.kafka.ask import configs_with, describe_with, live_brokers
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.requests import AlterTopicConfigs
from audit_stream.kafka.topic_plan import Alter, Create, Existing, Plan, Wanted, diff

_VISIBLE_LIMIT_SECONDS = 30.0
_POLL_SECONDS = 0.05


async def plan_topics(connection: KafkaConnection, wanted: Sequence[Wanted]) -> Plan:
    """What is to be done on this cluster. Raises BrokerError."""
    async with open_admin(connection) as admin:
        described = await describe_with(admin, [topic.name for topic in wanted])
        configs = await configs_with(admin, described)
    existing = {
        name: Existing(partitions=info.partitions, replicas=info.replicas, configs=configs[name])
        for name, info in described.items()
    }
    return diff(wanted, existing)


async def apply_plan(connection: KafkaConnection, plan: Plan) -> None:
    """Create and alter; findings are left alone. Doing it twice does no harm.

    Raises BrokerError at the first topic that the broker refuses.
    """
    if plan.creates:
        await _refuse_too_few_brokers(connection, plan.creates)
    async with open_admin(connection) as admin:
        if plan.creates:
            await _create(admin, plan.creates)
        if plan.alters:
            await _alter(admin, plan.alters)
        # The controller has the changes; the broker that answers clients may not have them yet.
        await _await(lambda: _is_visible(admin, plan))


async def recreate_topic(connection: KafkaConnection, topic: Wanted) -> None:
    """Delete one of our topics, if it is there, and create it empty, as declared."""
    async with open_admin(connection) as admin:
        if await describe_with(admin, [topic.name]):
            response = await admin.delete_topics([topic.name])
            for name, error_code in response.topic_error_codes:
                if error_code:
                    raise _refused(f"could not delete topic {name}", error_code, None)
            await _await(lambda: _is_gone(admin, topic.name))
    await apply_plan(connection, Plan(creates=(Create(topic=topic),), alters=(), findings=()))


async def _is_gone(admin: AIOKafkaAdminClient, topic: str) -> bool:
    return not await describe_with(admin, [topic])


async def _refuse_too_few_brokers(connection: KafkaConnection, creates: Sequence[Create]) -> None:
    brokers = await live_brokers(connection)
    replicas = max(create.topic.replicas for create in creates)
    if replicas > brokers:
        raise BrokerError(
            f"{replicas} replicas are declared and the cluster has {brokers} broker(s)",
            hint=f"for a cluster this small say so: --replication {brokers}",
        )


async def _create(admin: AIOKafkaAdminClient, creates: Sequence[Create]) -> None:
    topics = [
        NewTopic(
            create.topic.name,
            create.topic.partitions,
            create.topic.replicas,
            topic_configs=dict(create.topic.configs),
        )
        for create in creates
    ]
    response = await admin.create_topics(topics)
    for name, error_code, message in response.topic_errors:
        if error_code not in (0, TopicAlreadyExistsError.errno):  # another apply was faster
            raise _refused(f"could not create topic {name}", error_code, message)


async def _await(check: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + _VISIBLE_LIMIT_SECONDS
    while not await check():
        if time.monotonic() > deadline:
            raise BrokerError("the changes were accepted and did not appear", hint="run it again")
        await asyncio.sleep(_POLL_SECONDS)


async def _is_visible(admin: AIOKafkaAdminClient, plan: Plan) -> bool:
    created = {create.topic.name for create in plan.creates}
    if len(await describe_with(admin, created)) < len(created):
        return False
    configs = await configs_with(admin, {alter.topic for alter in plan.alters})
    return all(configs[alter.topic].get(alter.setting) == alter.after for alter in plan.alters)


async def _alter(admin: AIOKafkaAdminClient, alters: Sequence[Alter]) -> None:
    by_topic: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for alter in alters:
        by_topic[alter.topic][alter.setting] = alter.after
    response = await admin._send_to_controller(AlterTopicConfigs(by_topic))
    for error_code, message, _type, name in response.responses:
        if error_code:
            raise _refused(f"could not alter topic {name}", error_code, message)


def _refused(what: str, error_code: int, message: str | None) -> BrokerError:
    kind = for_code(error_code).__name__
    return BrokerError(
        f"{what}: {kind}{f', {message}' if message else ''}",
        hint="check the rights of this user against the operator's role in topics/",
    )

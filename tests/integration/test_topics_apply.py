"""`topics apply` makes a real broker match, and refuses what could lose records."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping, Sequence

import pytest
from aiokafka.admin import NewTopic
from typer.testing import CliRunner

from audit_stream.cli.topics import app
from audit_stream.errors import BrokerError, TopicError
from audit_stream.kafka.ask import (
    describe_topics,
    live_brokers,
    topic_configs,
    topic_ends,
    topic_id,
    topic_partitions,
)
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.embedded import EmbeddedKafka
from audit_stream.kafka.requests import AlterTopicConfigs
from audit_stream.kafka.topic_apply import apply_plan, plan_topics
from audit_stream.kafka.topic_plan import Alter, Create, Plan, Wanted, resolve
from audit_stream.kafka.topics import load_topics
from tests.support.eventually import eventually

pytestmark = pytest.mark.kafka
DAY_MS = 86_400_000


@pytest.fixture
def wanted(fresh: str) -> tuple[Wanted, ...]:
    """Every declared topic under names of this test's own, for one broker."""
    topics = load_topics(raw_topics=["messages", "calls"], rekey_topics=["calls"])
    resolved = resolve(topics, partitions=3, replication=1)
    return tuple(dataclasses.replace(one, name=f"{fresh}-{one.name}") for one in resolved)


async def make(connection: KafkaConnection, name: str, partitions: int, **configs: str) -> None:
    """A topic made by hand; `configs` with underscores for dots."""
    spelled = {key.replace("_", "."): value for key, value in configs.items()}

    async def there() -> bool:
        return name in await describe_topics(connection, [name])

    async with open_admin(connection) as admin:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=spelled)])
    await eventually(there)


async def set_configs(connection: KafkaConnection, name: str, configs: Mapping[str, str]) -> None:
    """Change settings by hand."""

    async def there() -> bool:
        return configs.items() <= (await topic_configs(connection, [name]))[name].items()

    async with open_admin(connection) as admin:
        response = await admin._send_to_controller(AlterTopicConfigs({name: configs}))
        assert [one[0] for one in response.responses] == [0]
    await eventually(there)


async def remove(connection: KafkaConnection, name: str) -> None:
    """Delete a topic by hand."""

    async def away() -> bool:
        return not await describe_topics(connection, [name])

    async with open_admin(connection) as admin:
        await admin.delete_topics([name])
    await eventually(away)


def told(plan: Plan, topic: str) -> str:
    """Everything a plan finds wrong with a topic."""
    return " | ".join(finding.message for finding in plan.findings if finding.topic == topic)


async def test_missing_topics_are_created_as_declared_and_a_second_apply_does_nothing(
    connection: KafkaConnection, wanted: Sequence[Wanted]
) -> None:
    plan = await plan_topics(connection, wanted)
    assert {create.topic.name for create in plan.creates} == {one.name for one in wanted}
    await apply_plan(connection, plan)
    assert await plan_topics(connection, wanted) == Plan()

    names = [one.name for one in wanted]
    assert await topic_partitions(connection, names) == {one.name: one.partitions for one in wanted}
    configs = await topic_configs(connection, names)
    for one in wanted:
        assert one.configs.items() <= configs[one.name].items()


async def test_applying_the_same_plan_twice_does_no_harm(
    connection: KafkaConnection, wanted: Sequence[Wanted]
) -> None:
    plan = await plan_topics(connection, wanted)
    await apply_plan(connection, plan)
    await apply_plan(connection, plan)
    assert await plan_topics(connection, wanted) == Plan()


async def test_a_drifted_setting_of_ours_is_set_back_and_others_are_left_alone(
    connection: KafkaConnection, wanted: Sequence[Wanted]
) -> None:
    await apply_plan(connection, await plan_topics(connection, wanted))
    hints = next(one.name for one in wanted if one.name.endswith("audit-segments"))
    await set_configs(connection, hints, {"retention.ms": "1000", "segment.ms": "123456"})
    plan = await plan_topics(connection, wanted)
    assert plan.alters == (
        Alter(topic=hints, setting="retention.ms", before="1000", after=str(7 * DAY_MS)),
    )
    await apply_plan(connection, plan)
    configs = (await topic_configs(connection, [hints]))[hints]
    assert configs["retention.ms"] == str(7 * DAY_MS)
    assert configs["segment.ms"] == "123456"


async def test_nothing_is_ever_shrunk(
    connection: KafkaConnection, wanted: Sequence[Wanted]
) -> None:
    await apply_plan(connection, await plan_topics(connection, wanted))
    hints = next(one.name for one in wanted if one.name.endswith("audit-segments"))
    await set_configs(connection, hints, {"retention.ms": "-1", "max.message.bytes": "9999999"})
    plan = await plan_topics(connection, wanted)
    assert plan.alters == ()
    assert "retention.ms is -1" in told(plan, hints)
    assert "max.message.bytes is 9999999" in told(plan, hints)
    await apply_plan(connection, plan)
    configs = (await topic_configs(connection, [hints]))[hints]
    assert configs["retention.ms"] == "-1"


async def test_a_partition_count_is_reported_and_never_changed(
    connection: KafkaConnection, wanted: Sequence[Wanted]
) -> None:
    quarantine = next(one.name for one in wanted if one.name.endswith("audit-quarantine"))
    await make(connection, quarantine, 2)
    plan = await plan_topics(connection, wanted)
    assert "2 partitions, 8 declared" in told(plan, quarantine)
    await apply_plan(connection, plan)
    assert (await topic_partitions(connection, [quarantine]))[quarantine] == 2


async def test_a_raw_topic_that_exists_is_judged_and_not_touched(
    connection: KafkaConnection, wanted: Sequence[Wanted]
) -> None:
    messages = next(one.name for one in wanted if one.name.endswith("messages"))
    await make(
        connection, messages, 5, retention_ms=str(31 * DAY_MS), cleanup_policy="compact,delete"
    )
    before = await topic_configs(connection, [messages])
    plan = await plan_topics(connection, wanted)
    await apply_plan(connection, plan)
    after = await plan_topics(connection, wanted)
    for expected in ("5 partitions, 3 declared", "CreateTime", "30 days", "compacted"):
        assert expected in told(plan, messages)
    assert "partition counts differ" in told(after, "raw topics")
    assert messages not in {alter.topic for alter in plan.alters}
    assert await topic_configs(connection, [messages]) == before
    assert (await topic_partitions(connection, [messages]))[messages] == 5


async def test_more_replicas_than_brokers_are_refused_with_what_to_say(
    connection: KafkaConnection, wanted: Sequence[Wanted]
) -> None:
    three = dataclasses.replace(wanted[0], replicas=3)
    assert await live_brokers(connection) == 1
    with pytest.raises(BrokerError, match="--replication 1"):
        await apply_plan(connection, Plan(creates=(Create(topic=three),)))
    assert await describe_topics(connection, [three.name]) == {}


async def test_a_setting_the_broker_refuses_names_the_topic(
    connection: KafkaConnection, wanted: Sequence[Wanted]
) -> None:
    bad = dataclasses.replace(wanted[0], configs={"cleanup.policy": "shred"})
    with pytest.raises(BrokerError, match=bad.name):
        await apply_plan(connection, Plan(creates=(Create(topic=bad),)))


async def test_a_recreated_topic_has_another_id(connection: KafkaConnection, fresh: str) -> None:
    await make(connection, fresh, 1)
    first = await topic_id(connection, fresh)
    assert first is not None
    assert await topic_id(connection, fresh) == first
    await remove(connection, fresh)
    await make(connection, fresh, 1)
    assert await topic_id(connection, fresh) not in (None, first)
    assert await topic_id(connection, f"{fresh}-missing") is None


async def test_asking_for_the_ends_of_a_missing_topic_says_what_to_run(
    connection: KafkaConnection, fresh: str
) -> None:
    with pytest.raises(TopicError, match="topics apply"):
        await topic_ends(connection, [fresh])


async def test_a_broker_that_is_not_there_is_told_in_one_sentence() -> None:
    nowhere = KafkaConnection.parse("kafka://127.0.0.1:9")
    with pytest.raises(BrokerError, match=r"no Kafka broker answers at 127\.0\.0\.1:9"):
        await topic_partitions(nowhere, ["a"])


def run(kafka: EmbeddedKafka, fresh: str, *arguments: str) -> tuple[int, str]:
    """`topics apply` as a person runs it, on topics of this test's own: exit code and output."""
    environment = {
        "AUDIT_BROKER": kafka.url,
        "AUDIT_TOPICS": f"{fresh}-messages",
        "AUDIT_APP_ID": fresh,
        "AUDIT_PARTITIONS": "2",
    }
    result = CliRunner().invoke(app, ["apply", "--replication", "1", *arguments], env=environment)
    return result.exit_code, result.output


def test_the_command_shows_the_difference_first_and_changes_nothing_on_a_dry_run(
    kafka: EmbeddedKafka, fresh: str
) -> None:
    code, output = run(kafka, fresh, "--dry-run")
    assert code == 0
    assert f"+ {fresh}-messages: create: 2 partitions, 1 replicas" in output
    code, again = run(kafka, fresh, "--dry-run")
    assert (code, again) == (0, output)


def test_the_command_applies_and_then_finds_all_as_declared(
    kafka: EmbeddedKafka, fresh: str
) -> None:
    code, output = run(kafka, fresh)
    assert code == 0
    assert "change(s) applied" in output
    code, output = run(kafka, fresh, "--json")
    assert code == 0
    assert json.loads(output) == {"applied": True, "rows": []}


async def test_the_command_ends_with_one_when_something_is_wrong(
    kafka: EmbeddedKafka, connection: KafkaConnection, fresh: str
) -> None:
    await make(connection, f"{fresh}-messages", 7)
    code, output = await asyncio.to_thread(run, kafka, fresh, "--dry-run")
    assert code == 1
    assert f"! {fresh}-messages: 7 partitions, 2 declared" in output

"""A topic's next generation: the break is on record, and nothing crosses it."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter, defaultdict
from pathlib import Path

import orjson
import psutil
import pytest
from aiokafka.admin import NewPartitions

from audit_stream.app.generations import begin, survey
from audit_stream.archive.chain import Chain
from audit_stream.archive.streams import end_chain, generations
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.kafka.ask import topic_ends, topic_partitions
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.partitioner import partition_of
from audit_stream.keys.file import LoadedKeyring, load_keyring
from audit_stream.stores.file import FileStore
from audit_stream.stream.process import EXIT_FENCED
from tests.integration.test_bad_days import missing, run
from tests.integration.test_fleet import copied
from tests.integration.test_raw_topics import alarmed
from tests.support.events import Events, Line, Oracle
from tests.support.eventually import eventually
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
WHY = ("--reason", "the topic was recreated by mistake")


def connection(fleet: Fleet) -> KafkaConnection:
    return KafkaConnection.from_settings(fleet.settings)


def opened(fleet: Fleet) -> tuple[FileStore, LoadedKeyring]:
    return FileStore(fleet.settings.archive_path), load_keyring(fleet.settings.keyring)


async def streams(fleet: Fleet, topic: str = "") -> list[StreamObject]:
    store, ring = opened(fleet)
    return await generations(store, ring.trusted, topic or fleet.topic)


async def delete(fleet: Fleet, *topics: str) -> None:
    async with open_admin(connection(fleet)) as admin:
        await admin.delete_topics(list(topics or [fleet.topic]))
    await eventually(lambda: missing(fleet))


def archived(fleet: Fleet, generation: int) -> Counter[tuple[str, str]]:
    """(message, status) in one generation's records."""
    found: dict[int, Counter[tuple[str, str]]] = defaultdict(Counter)
    for line in fleet.lines():
        pub = orjson.loads(line)["pub"]
        number = int(pub["source"].split("/")[1])
        found[number][pub["message_uuid"], pub["delivery_status"]] += 1
    return found[generation]


async def begun(fleet: Fleet, *words: str) -> str:
    """Begin a generation as an operator does; what was said."""
    done = await run(fleet, "topics", "new-generation", fleet.topic, *WHY, "--yes", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def check(fleet: Fleet, **expected: Oracle) -> None:
    """Every promise over the break: `g1`, `g2`: what each generation holds, once."""
    coverage = await fleet.settled(90)
    assert coverage.unexplained == 0
    for number, oracle in enumerate(expected.values(), start=1):
        assert archived(fleet, number) == Counter(oracle.archived), fleet.log()
    report = fleet.verify()
    assert report.problems == []
    assert report.verdict.value == 0
    assert len(await streams(fleet)) == len(expected)
    reconciled = await run(fleet, "reconcile", "--json")
    assert reconciled.returncode == 0, reconciled.stdout
    older = orjson.loads(reconciled.stdout)["older_generations"]
    assert {each["generation"] for each in older} == set(range(1, len(expected)))
    assert sum(each["missing"] + each["unexplained"] for each in older) == 0


async def test_p2_a_recreated_topic_goes_on_and_no_state_crosses_over(fleet: Fleet) -> None:
    """The new topic brings the very events of the old one: all of them are new to its stream."""
    first = Events(211, fleet.topic)
    lines = first.lines(1500)
    fleet.start(0)
    await fleet.send(lines)
    await fleet.check(first.oracle)
    assert await fleet.stop(0) == 0
    await delete(fleet)
    await fleet.prepare()
    await fleet.send(lines)
    refused = await run(fleet, "worker")
    assert f"topics new-generation {fleet.topic}" in refused.stderr
    judged = await run(fleet, "reconcile")
    assert (judged.returncode, "was recreated" in judged.stdout) == (1, True)
    before = sorted(fleet.settings.archive_path.rglob("*"))
    dry = await run(fleet, "topics", "new-generation", fleet.topic, *WHY, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "cannot be known" in dry.stdout
    assert sorted(fleet.settings.archive_path.rglob("*")) == before
    await begun(fleet)
    fleet.start(0)  # on the disk of the old generation
    await check(fleet, g1=first.oracle, g2=first.oracle)
    assert await fleet.stop(0) == 0
    fleet.start(1)  # on an empty disk: the changelog holds nothing of the old generation, either
    again = Events(211, fleet.topic)
    await fleet.send(again.lines(1500))
    await check(fleet, g1=first.oracle, g2=first.oracle)
    message = first.oracle.archived[0][0]
    shown = orjson.loads((await run(fleet, "show", message, "--json")).stdout)["history"]
    assert {each["source"].split("/")[1] for each in shown} == {"1", "2"}
    assert shown[0]["customer_external_id"].startswith("Größe")
    second = (await streams(fleet))[1]
    assert (second.reason, second.genesis) == (WHY[1], [0, 0])


async def test_p1_a_repartitioned_topic_goes_on_where_its_old_generation_ended(
    fleet: Fleet,
) -> None:
    # So long Kafka remembers the worker of two partitions, and would give it these back.
    fleet.extra["AUDIT_SESSION_TIMEOUT_SECONDS"] = "20"
    first, second = Events(223, fleet.topic), Events(227, fleet.topic)
    fleet.start(0)
    await fleet.send(first.lines(1000))
    await fleet.check(first.oracle)
    assert await fleet.stop(0) == 0
    async with open_admin(connection(fleet)) as admin:
        await admin.create_partitions({fleet.topic: NewPartitions(total_count=3)})
    await eventually(lambda: has_partitions(fleet, 3))
    await fleet.send(second.lines(500))
    early = await run(fleet, "topics", "new-generation", fleet.topic, *WHY, "--yes")
    assert early.returncode == 2
    assert "are not archived yet" in early.stderr
    told = await begun(fleet, "--accept-unarchived")
    assert "AUDIT_PARTITIONS=3" in told
    fleet.partitions = 3
    refused = await run(fleet, "worker")
    assert "state rebuild" in refused.stderr
    rebuilt = await run(fleet, "state", "rebuild")
    assert rebuilt.returncode == 0, rebuilt.stderr
    fleet.start(0)
    await check(fleet, g1=first.oracle, g2=second.oracle)
    old, new = await streams(fleet)
    assert old.topic_id == new.topic_id
    assert new.ended is not None
    assert new.genesis == [*(item["next"] for item in new.ended), 0]
    sources = [orjson.loads(line)["pub"]["source"] for line in fleet.lines()]
    offsets = Counter(source.split("/", 2)[2] for source in sources)
    assert max(offsets.values()) == 1  # an offset is archived in one generation only


async def has_partitions(fleet: Fleet, count: int) -> bool:
    return await topic_partitions(connection(fleet), [fleet.topic]) == {fleet.topic: count}


async def test_show_finds_what_was_spread_over_the_old_number_of_partitions(fleet: Fleet) -> None:
    """Written before the topic grew, archived after it: in a partition its key no longer has."""
    fleet.start(0)
    await fleet.send(Events(229, fleet.topic).lines(100))
    await fleet.settled()
    assert await fleet.stop(0) == 0
    late = Events(233, fleet.topic)
    await fleet.send(late.lines(300))
    async with open_admin(connection(fleet)) as admin:
        await admin.create_partitions({fleet.topic: NewPartitions(total_count=5)})
    await eventually(lambda: has_partitions(fleet, 5))
    await begun(fleet, "--accept-unarchived")
    fleet.partitions = 5
    assert (await run(fleet, "state", "rebuild")).returncode == 0
    fleet.start(0)
    await fleet.settled(90)
    moved = [
        message
        for message, _ in late.oracle.archived
        if partition_of(message.encode(), 5) != partition_of(message.encode(), 2)
    ]
    for message in moved[:3]:
        shown = orjson.loads((await run(fleet, "show", message, "--json")).stdout)["history"]
        second = Counter(
            (message, each["delivery_status"])
            for each in shown
            if each["source"].split("/")[1] == "2"
        )
        assert second == Counter({k: n for k, n in archived(fleet, 2).items() if k[0] == message})
        assert second


async def test_p2_a_worker_frozen_before_its_put_adds_nothing_to_an_ended_generation(
    fleet: Fleet,
) -> None:
    events = Events(239, fleet.topic)
    sleeper = fleet.start(0, "freeze", "put", "before", "3")
    await fleet.send(events.lines(2000))
    await eventually(lambda: frozen(sleeper.pid), 60)
    needless = await run(fleet, "topics", "new-generation", fleet.topic, *WHY, "--yes")
    assert (needless.returncode, "nothing is wrong" in needless.stderr) == (2, True)
    await begun(fleet, "--force", "--accept-unarchived")
    before = fleet.lines()
    sleeper.send_signal(signal.SIGCONT)
    assert await fleet.ended(0) == EXIT_FENCED
    assert "was ended by an operator" in fleet.log()
    assert fleet.lines() == before
    fleet.start(0)
    coverage = await fleet.settled(90)
    assert coverage.unexplained == 0
    assert fleet.verify().problems == []
    covered = coverage.totals() + sum((each.counts for each in coverage.older), Counter())
    ends = await topic_ends(connection(fleet), [fleet.topic])
    assert covered.total() == sum(end for _, end in ends.values())  # each offset once
    assert archived(fleet, 1)
    assert archived(fleet, 2)


async def frozen(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


async def test_a_worker_that_was_not_stopped_ends_by_itself_and_starts_in_the_new_generation(
    fleet: Fleet,
) -> None:
    port = fleet.serve()
    first, second = Events(277, fleet.topic), Events(281, fleet.topic)
    fleet.start(0)
    await fleet.send(first.lines(500))
    await fleet.check(first.oracle)
    await delete(fleet)
    await fleet.prepare()
    await fleet.send(second.lines(500))
    await eventually(lambda: alarmed(port, f"raw-topic:{fleet.topic}"), 60)
    await begun(fleet)
    assert await fleet.ended(0) == EXIT_FENCED
    assert "has a new generation" in fleet.log()
    fleet.start(0)
    await check(fleet, g1=first.oracle, g2=second.oracle)


async def test_of_two_operators_one_wins_and_the_other_is_told(fleet: Fleet) -> None:
    fleet.start(0)
    await fleet.send(Events(241, fleet.topic).lines(300))
    await fleet.settled()
    await fleet.stop(0)
    store, ring = opened(fleet)
    found = await survey(store, ring, connection(fleet), fleet.topic)
    (one, won), (other, lost) = await asyncio.gather(
        begin(store, ring, found, "one"), begin(store, ring, found, "other")
    )
    assert {won, lost} == {True, False}
    assert one == other
    assert fleet.verify().problems == []
    late = await run(fleet, "topics", "new-generation", fleet.topic, *WHY, "--yes")
    assert "nothing is wrong" in late.stderr


async def test_an_operator_who_was_interrupted_finishes_later(fleet: Fleet) -> None:
    port = fleet.serve()
    events = Events(251, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(500))
    await fleet.check(events.oracle)
    await fleet.stop(0)
    store, ring = opened(fleet)
    first = (await streams(fleet))[0]
    await end_chain(store, ring.signer, Chain(store, ring.trusted, first, 0), "2026-11-25")
    fleet.start(0)
    await eventually(lambda: alarmed(port, f"raw-topic:{fleet.topic}/0"), 60)
    await fleet.stop(0)
    assert [problem.step for problem in fleet.verify().problems] == ["V14"]
    await begun(fleet)
    fleet.start(0)
    second = Events(257, fleet.topic)
    await fleet.send(second.lines(500))
    await check(fleet, g1=events.oracle, g2=second.oracle)


async def test_the_name_is_asked_for_and_must_be_the_topics(fleet: Fleet, tmp_path: Path) -> None:
    fleet.start(0)
    await fleet.send(Events(263, fleet.topic).lines(100))
    await fleet.settled()
    await fleet.stop(0)
    words = ("topics", "new-generation", fleet.topic, *WHY, "--force")
    assert (await run(fleet, *words)).returncode == 1  # nobody there to type it
    assert (await run(fleet, *words, typed="another\n")).returncode == 1
    assert len(await streams(fleet)) == 1
    assert (await run(fleet, *words, typed=f"{fleet.topic}\n")).returncode == 0
    assert len(await streams(fleet)) == 2


async def test_a_rekeyed_topic_goes_on_when_both_it_and_its_twin_were_recreated(
    fleet: Fleet,
) -> None:
    fleet.extra = {"AUDIT_REKEY_TOPICS": fleet.topic}
    await fleet.prepare()
    twin = f"{fleet.topic}-rekeyed"
    first, second = Events(269, fleet.topic), Events(271, fleet.topic)
    fleet.start(0)
    await fleet.send(one_partition(first.lines(800)))
    await eventually(lambda: copied(fleet, 800), 60)
    await fleet.check(first.oracle)
    await fleet.stop(0)
    await delete(fleet, fleet.topic, twin)
    await eventually(lambda: has_no(fleet, twin))
    await fleet.prepare()
    await fleet.send(one_partition(second.lines(500)))
    await begun(fleet)
    fleet.start(0)
    await eventually(lambda: copied(fleet, 500), 60)
    await fleet.settled(90)
    assert archived(fleet, 1) == Counter(first.oracle.archived)
    assert archived(fleet, 2) == Counter(second.oracle.archived)
    assert [stream.generation for stream in await streams(fleet, twin)] == [1, 2]
    assert fleet.verify().problems == []


def one_partition(lines: list[Line]) -> list[Line]:
    return [(b"tenant_a", value) for _, value in lines]


async def has_no(fleet: Fleet, topic: str) -> bool:
    return not await topic_partitions(connection(fleet), [topic])

"""Keyrings that do not fit, and events larger than our limit, on a real broker."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from audit_stream.flatten.event import MAX_VALUE_BYTES
from audit_stream.kafka.anything import send_anything
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.partitioner import partition_of
from audit_stream.kafka.quarantine import read_quarantine
from audit_stream.keys.file import create_keyring
from audit_stream.privacy.keyring import parse_keyring
from tests.integration.test_bad_days import run
from tests.integration.test_fleet import copied
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import NAME, Fleet
from tests.support.foreign import Latin1, send_foreign

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def set_epoch(keyring: Path, epoch: int) -> None:
    ring = dataclasses.replace(parse_keyring(keyring.read_bytes()), epoch=epoch)
    keyring.write_bytes(ring.encode())


async def alter(fleet: Fleet, **configs: str) -> None:
    """Another configuration of the raw topic; `_` stands for a dot."""
    named = {name.replace("_", "."): value for name, value in configs.items()}
    async with open_admin(KafkaConnection.from_settings(fleet.settings)) as admin:
        resource = ConfigResource(ConfigResourceType.TOPIC, fleet.topic, named)
        await admin.alter_configs([resource])


async def archived_something(fleet: Fleet, seed: int) -> Events:
    events = Events(seed, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(200))
    await fleet.check(events.oracle)
    await fleet.stop(0)
    return events


async def test_a_keyring_that_is_not_the_archives_is_refused(fleet: Fleet) -> None:
    await archived_something(fleet, 107)
    keys = fleet.settings.keyring.parent
    shutil.move(keys, keys.with_name("right"))
    create_keyring(fleet.settings.keyring, NAME)
    done = await run(fleet, "worker")
    assert done.returncode == 2
    assert "not founded under this keyring" in done.stderr
    assert "use the keyring the archive was made with" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_keyring_older_than_the_archive_is_refused(fleet: Fleet) -> None:
    set_epoch(fleet.settings.keyring, 2)
    events = await archived_something(fleet, 109)
    set_epoch(fleet.settings.keyring, 1)
    done = await run(fleet, "worker")
    assert done.returncode == 2
    assert "the keyring has the epoch 1, the archive is at 2" in done.stderr
    assert "use the newest keyring" in done.stderr
    set_epoch(fleet.settings.keyring, 3)
    fleet.start(0)
    await fleet.send(events.lines(200))
    await fleet.check(events.oracle)


async def test_an_event_above_our_limit_is_quarantined_and_its_neighbours_are_not(
    fleet: Fleet,
) -> None:
    await alter(fleet, max_message_bytes="2097152")
    events = Events(113, fleet.topic)
    large = json.dumps({"status": "READ", "filler": "x" * MAX_VALUE_BYTES}).encode()
    producer = AIOKafkaProducer(
        bootstrap_servers=fleet.settings.bootstrap_servers, max_request_size=2 << 20
    )
    await producer.start()
    await fleet.send(events.lines(50))
    await producer.send_and_wait(fleet.topic, large, b"key")
    await producer.stop()
    await fleet.send(events.lines(50))
    events.oracle.quarantined += 1
    fleet.start(0)
    await fleet.check(events.oracle)
    listed = await run(fleet, "quarantine", "list", "--json")
    assert listed.returncode == 0
    assert '"too-large"' in listed.stdout


@pytest.mark.parametrize("rekeyed", [False, True], ids=["", "rekeyed"])
async def test_a_record_larger_than_any_copy_may_be_ends_no_worker(
    fleet: Fleet, rekeyed: bool
) -> None:
    """The broker's limit is for a compressed batch: 8 MiB come in one of 35 kB."""
    fleet.extra = {"AUDIT_REKEY_TOPICS": fleet.topic} if rekeyed else {}
    await fleet.prepare()
    small, dense = json.dumps({"filler": "x" * (8 << 20)}).encode(), os.urandom(4 << 20)
    options = {"bootstrap_servers": fleet.settings.bootstrap_servers, "max_request_size": 16 << 20}
    async with AIOKafkaProducer(**options, compression_type="lz4") as producer:
        await producer.send_and_wait(fleet.topic, small, b"key")
    await alter(fleet, max_message_bytes=str(8 << 20))
    async with AIOKafkaProducer(**options) as producer:
        await producer.send_and_wait(fleet.topic, dense, b"key")
        await producer.send_and_wait(fleet.topic, b"?", b"\xff" * (2 << 20), headers=[("h", dense)])
    events = Events(139, fleet.topic)
    await fleet.send(events.lines(50))
    events.oracle.quarantined += 3
    fleet.start(0)
    if rekeyed:
        await eventually(lambda: copied(fleet, 53), 60)
    await fleet.check(events.oracle)
    listed = await run(fleet, "quarantine", "list", "--json", "--reason", "too-large")
    assert listed.returncode == 0
    found = [each for each in json.loads(listed.stdout) if fleet.topic in each["source"]]
    assert {(each["bytes"], each["truncated"]) for each in found} == {
        (len(small), False), (len(dense), True)
    }  # fmt: skip
    [cut] = [each for each in found if each["truncated"]]
    tried = await run(fleet, "quarantine", "retry", "--json", "--source", cut["source"])
    assert tried.returncode == 1
    [refused] = json.loads(tried.stdout)["refused"]
    assert refused["reason"] == "truncated: only the raw topic has all of it"


async def test_times_that_no_header_and_no_calendar_has_end_no_worker_and_no_list(
    fleet: Fleet,
) -> None:
    """Where producers set the time, and one counts in nanoseconds, another in microseconds."""
    await alter(fleet, message_timestamp_type="CreateTime",
                message_timestamp_after_max_ms=str(2**63 - 1))  # fmt: skip
    final = {
        "id": "e", "type": "t", "message_id": "far", "status": "READ", "timestamp": "now",
        "workflow_id": "w", "tenant": {"id": "t"}, "recipient": {},
    }  # fmt: skip
    nanoseconds = 1_795_564_800_000_000_000
    lines = [
        (nanoseconds, final | {"status": "SENT"}), (nanoseconds, final),
        (nanoseconds // 1000, final), (nanoseconds, final | {"status": "SENT"}),
    ]  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=fleet.settings.bootstrap_servers)
    await producer.start()
    for stamp, event in lines:
        value = json.dumps(event).encode()
        await producer.send_and_wait(fleet.topic, value, b"far", timestamp_ms=stamp)
    await producer.stop()
    events = Events(137, fleet.topic)
    await fleet.send(events.lines(50))
    events.oracle.quarantined += 2
    fleet.start(0)
    await fleet.check(events.oracle)
    await fleet.stop(0)
    fleet.start(0)  # the last archived time is asked for
    await fleet.send(events.lines(50))
    await fleet.check(events.oracle)
    listed = await run(fleet, "quarantine", "list", "--json", "--reason", "invalid:kafka-timestamp")
    assert listed.returncode == 0
    times = {
        each["timestamp"] for each in json.loads(listed.stdout) if fleet.topic in each["source"]
    }
    assert times == {f"{nanoseconds} ms", f"{nanoseconds // 1000} ms"}


async def test_a_record_without_key_and_value_is_copied_and_quarantined_as_it_is(
    fleet: Fleet,
) -> None:
    """Kafka takes one, our client's `send` does not: worker after worker ended over it."""
    fleet.extra = {"AUDIT_REKEY_TOPICS": fleet.topic}
    await fleet.prepare()
    connection = KafkaConnection.from_settings(fleet.settings)
    producer = AIOKafkaProducer(**connection.client_options(), acks="all")
    await producer.start()
    try:
        nothing = {"key": None, "value": None}
        headers = [("a", b"1"), ("without", None)]
        await (await send_anything(producer, fleet.topic, headers=headers, **nothing))
    finally:
        await producer.stop()
    events = Events(127, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(50))
    events.oracle.quarantined += 1
    await eventually(lambda: copied(fleet, 51), 60)
    await fleet.check(events.oracle)
    copies = [each async for each in read_quarantine(connection) if fleet.topic in each.source]
    (empty,) = [each for each in copies if each.value is None]
    assert (empty.key, empty.reason) == (None, "not-an-object")
    assert (empty.origin, empty.first_position) == (
        f"{fleet.topic}/0/0",
        f"{fleet.topic}-rekeyed/0/0",
    )


async def test_a_header_name_that_is_not_utf8_is_no_reason_to_archive_nothing(fleet: Fleet) -> None:
    """Worker after worker ended over the batch; what is wrong besides is quarantined as ever."""
    connection = KafkaConnection.from_settings(fleet.settings)
    events = Events(131, fleet.topic)
    odd = [(Latin1("caf\xe9"), b"\xff")]
    lines = [(key, value, odd) for key, value in events.lines(20)] + [(None, b"?", odd)]
    events.oracle.quarantined += 1
    producer = AIOKafkaProducer(**connection.client_options(), acks="all")
    await producer.start()
    try:
        for partition in (0, 1):
            its = [line for line in lines if partition_of(line[0] or b"", 2) == partition]
            await send_foreign(producer, fleet.topic, partition, *its)
    finally:
        await producer.stop()
    fleet.start(0)
    await fleet.send(events.lines(50))
    await fleet.check(events.oracle)
    copies = [each async for each in read_quarantine(connection) if fleet.topic in each.source]
    assert b"?" in {each.value for each in copies}
    compared = await run(fleet, "replay", "--compare")
    assert compared.returncode == 0

"""`replay --compare` against what a fleet archived on bad days, and against tampered archives."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from hashlib import sha256
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete

from audit_stream.evidence.layout import parse_segment_name
from audit_stream.evidence.segment import decode
from audit_stream.kafka.ask import topic_ends
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.keys.file import load_keyring
from audit_stream.privacy.derivation import TagMaker
from audit_stream.privacy.keytree import Cover, path_of
from audit_stream.replay.tally import ANOTHER_LOG
from tests.integration.test_bad_days import missing
from tests.support import resealed
from tests.support.commands import document, run, running
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import ROOT, Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


async def messy(fleet: Fleet, seed: int, lines: int = 2000) -> Events:
    """What a fleet archives while a worker is killed."""
    events = Events(seed, fleet.topic)
    fleet.start(0)
    fleet.start(1)
    await fleet.send(events.lines(lines // 2))
    await eventually(lambda: fleet.archived(100), 60)
    await fleet.kill(0)
    await fleet.send(events.lines(lines // 2))
    fleet.start(0)
    await fleet.check(events.oracle)
    await fleet.stop(0)
    await fleet.stop(1)
    return events


async def aborted_and_committed(fleet: Fleet, events: Events) -> None:
    """What a transactional platform leaves: an aborted transaction, a committed one, markers."""
    producer = AIOKafkaProducer(
        bootstrap_servers=fleet.settings.bootstrap_servers, transactional_id=fleet.prefix
    )
    await producer.start()
    await producer.begin_transaction()
    for key, value in Events(1, fleet.topic).lines(30):
        await producer.send(fleet.topic, value, key)
    await producer.flush()
    await producer.abort_transaction()
    async with producer.transaction():
        for key, value in events.lines(100):
            await producer.send(fleet.topic, value, key)
    await producer.stop()
    fleet.start(0)
    await fleet.check(events.oracle)
    await fleet.stop(0)


async def test_a_messy_archive_is_what_the_raw_log_gives(fleet: Fleet) -> None:
    events = await messy(fleet, 101)
    await aborted_and_committed(fleet, events)
    answer = await document(fleet, "replay", "--compare")
    assert answer["verdict"] == "equal"
    partitions = answer["partitions"]
    assert answer["events"] == 2100
    absent = (await fleet.settled()).totals()["x"]
    assert sum(p["compared"] for p in partitions) == 2100 + absent
    assert absent > 30  # the aborted records and the markers
    assert sum(p["records"] for p in partitions) == len(events.oracle.archived)
    assert {p["state_from"] for p in partitions} == {"raw log"}
    assert all(p["complete"] and not p["not_comparable"] for p in partitions)
    assert not list((fleet.folder / "command-state" / "replay").glob("*-0*"))  # nothing is left


async def settle(fleet: Fleet, events: Events, lines: int) -> None:
    """Archive so many more lines with one worker, which then ends."""
    fleet.start(0)
    await fleet.send(events.lines(lines))
    await fleet.settled()
    await fleet.stop(0)


def objects_of(root: Path) -> dict[str, bytes]:
    names = (path.relative_to(root) for path in (root / "segments").rglob("*.gz"))
    return {str(name): (root / name).read_bytes() for name in names}


async def test_a_record_changed_and_signed_again_is_named(fleet: Fleet) -> None:
    events = Events(103, fleet.topic)
    await settle(fleet, events, 1500)
    archive = fleet.settings.archive_path
    objects = objects_of(archive)
    target = sorted(objects)[2]
    place = parse_segment_name(target)
    assert place is not None
    lines = decode(objects[target], target).record_lines()
    index = next(i for i, line in enumerate(lines) if b'"delivery_status":"DELIVERED"' in line)
    source = orjson.loads(lines[index])["pub"]["source"]
    signer = load_keyring(fleet.settings.keyring).signer
    objects[target] = resealed.edited(
        objects[target], index, (b'"delivery_status":"DELIVERED"', b'"delivery_status":"READ"'),
        signer=signer,
    )  # fmt: skip
    fleet.archive = "tampered"
    tampered = fleet.settings.archive_path
    shutil.copytree(archive, tampered)
    for name, data in resealed.relinked(objects, signer).items():
        (tampered / name).chmod(0o600)
        (tampered / name).write_bytes(data)
    answer = await document(fleet, "replay", "--compare", code=1)
    assert answer["verdict"] == "differs"
    (found,) = [d for p in answer["partitions"] for d in p["differences"]]
    assert f"{found['topic']}/1/{found['partition']}/{found['offset']}" == source
    assert (found["field"], found["archive"], found["derived"]) == (
        "delivery_status", "READ", "DELIVERED",
    )  # fmt: skip
    shown = await run(fleet, "replay", "--compare", "--partition", str(place.partition))
    assert f"DIFFERS {source}: delivery_status: archive READ, derived DELIVERED" in shown.stdout
    other = await document(fleet, "replay", "--compare", "--partition", str(1 - place.partition))
    assert other["verdict"] == "equal"


async def delete_below(fleet: Fleet, shares: float) -> dict[int, int]:
    """Delete the first records of each partition, as retention would; the new log starts."""
    connection = KafkaConnection.from_settings(fleet.settings)
    ends = await topic_ends(connection, [fleet.topic])
    starts = {partition: int(end * shares) for (_, partition), (_, end) in ends.items()}
    async with open_admin(connection) as admin:
        await admin.delete_records({
            TopicPartition(fleet.topic, partition): RecordsToDelete(before_offset=offset)
            for partition, offset in starts.items()
        })  # fmt: skip
    return starts


async def test_two_status_maps_and_a_raw_log_without_its_head(fleet: Fleet, tmp_path: Path) -> None:
    events = Events(105, fleet.topic)
    await settle(fleet, events, 800)
    words = json.loads((ROOT / "topics" / "status-map.v1.json").read_bytes())
    words["description"] = "A second map."
    (tmp_path / "map.json").write_text(json.dumps(words))
    fleet.extra["AUDIT_STATUS_MAP"] = str(tmp_path / "map.json")
    await settle(fleet, events, 800)
    assert len(list((fleet.settings.archive_path / "maps").iterdir())) == 2
    answer = await document(fleet, "replay", "--compare")
    assert answer["verdict"] == "equal"
    assert sum(p["compared"] for p in answer["partitions"]) == 1600

    starts = await delete_below(fleet, 0.4)
    answer = await document(fleet, "replay", "--compare")
    assert answer["verdict"] == "equal"
    for part in answer["partitions"]:
        assert list(part["not_comparable"].values()) == [starts[part["partition"]]]
        assert part["compared"] + starts[part["partition"]] == part["in_range"]
        assert part["state_from"] == "archive"
    asked = await document(fleet, "replay", "--compare", "--from", "0", code=3)
    assert asked["verdict"] == "cannot_judge"

    await delete_below(fleet, 1.0)
    gone = await document(fleet, "replay", "--compare", code=3)
    assert {p["compared"] for p in gone["partitions"]} == {0}


def noted(position: Path) -> bool:
    """Whether a first segment is done: something was written to the states' log."""
    return any(path.stat().st_size > 0 for path in position.glob("*.log"))


async def test_stopped_by_a_signal_it_goes_on_with_resume(fleet: Fleet) -> None:
    events = Events(107, fleet.topic)
    await settle(fleet, events, 1500)
    words = ("replay", "--compare", "--processes", "1")
    position = fleet.folder / "command-state" / "replay" / f"{fleet.topic}-00001-00000"
    with running(fleet, *words, "--rate", "300", "--json") as process:
        await eventually(lambda: asyncio.to_thread(noted, position), 60)
        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 3, err
    stopped = orjson.loads(out)
    assert stopped["verdict"] == "cannot_judge"
    assert not any(p["complete"] for p in stopped["partitions"])
    answer = await document(fleet, *words, "--resume")
    assert answer["verdict"] == "equal"
    assert sum(p["compared"] for p in answer["partitions"]) == 1500
    assert answer["partitions"][0]["resumed_at"] == stopped["partitions"][0]["in_range"] > 0
    fleet.extra["AUDIT_BROKER"] = "kafka://127.0.0.1:1"
    away = await run(fleet, *words)
    assert away.returncode == 3
    assert "no Kafka broker answers" in away.stderr


async def test_of_an_erased_person_all_but_the_sealed_fields_is_compared(fleet: Fleet) -> None:
    events = Events(109, fleet.topic)
    await settle(fleet, events, 800)
    people = [("tenant_a", "external", f"Größe-{number}") for number in range(20)]
    keyring = erase(fleet.settings.keyring, people)
    fleet.extra["AUDIT_KEYRING"] = str(keyring)
    answer = await document(fleet, "replay", "--compare")
    assert answer["verdict"] == "equal"
    assert sum(p["erased"] for p in answer["partitions"]) > 0
    assert sum(p["compared"] for p in answer["partitions"]) == 800
    # A copy made now seals them as erased: the same lines but for what is sealed.
    second = (fleet.folder / "second").as_uri()
    await document(fleet, "backfill", "--into", second)
    same = await document(fleet, "archive", "compare", fleet.settings.archive, second)
    assert same["verdict"] == "equal"
    assert sum(p["erased"] for p in same["partitions"]) > 0


async def test_a_recreated_topic_is_another_log_until_its_next_generation(fleet: Fleet) -> None:
    events = Events(111, fleet.topic)
    await settle(fleet, events, 600)
    async with open_admin(KafkaConnection.from_settings(fleet.settings)) as admin:
        await admin.delete_topics([fleet.topic])
    await eventually(lambda: missing(fleet))
    await fleet.prepare()
    other = await document(fleet, "replay", "--compare", code=3)
    assert {p["compared"] for p in other["partitions"]} == {0}
    assert {reason for p in other["partitions"] for reason in p["not_comparable"]} == {ANOTHER_LOG}

    words = ("topics", "new-generation", fleet.topic, "--reason", "a test", "--yes")
    begun = await run(fleet, *words)
    assert begun.returncode == 0, begun.stdout + begun.stderr
    await settle(fleet, Events(111, fleet.topic), 600)
    answer = await document(fleet, "replay", "--compare")
    assert answer["verdict"] == "equal"
    compared = {(p["generation"], p["compared"] > 0) for p in answer["partitions"]}
    assert compared == {(1, False), (2, True)}

    second = (fleet.folder / "second").as_uri()
    await document(fleet, "backfill", "--into", second)
    same = ("archive", "compare", fleet.settings.archive, second)
    whole = await document(fleet, *same, code=1)
    assert {p["generation"] for p in whole["partitions"] if p["only_a"]} == {1}
    assert (await document(fleet, *same, "--common"))["verdict"] == "equal"
    assert (await document(fleet, "verify", "--archive", second))["verdict"] == "verified"


def erase(path: Path, people: list[tuple[str, str, str]]) -> Path:
    """A copy of the keyring in its next epoch, from which these subjects are erased."""
    ring = load_keyring(path)
    tags = TagMaker(ring.keyring.trees[0].pepper)
    cover = Cover(bytes(ring.cover)).puncture([path_of(tags.tag(who)) for who in people])
    folder = path.parent / "erased"
    folder.mkdir()
    (folder / "cover-1.bin").write_bytes(cover)
    document = orjson.loads(path.read_bytes())
    document["epoch"] += 1
    document["trees"][0]["cover_sha256"] = sha256(cover).hexdigest()
    (folder / path.name).write_bytes(orjson.dumps(document, option=orjson.OPT_SORT_KEYS) + b"\n")
    for each in folder.iterdir():
        each.chmod(0o600)
    return folder / path.name

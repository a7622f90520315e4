"""Bad input, wrong settings and lost parts: each says what is wrong, and loses nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import orjson
import pytest

from audit_stream.kafka.ask import topic_ends, topic_partitions
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.embedded import EmbeddedKafka, free_ports
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import ROOT, Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def command(fleet: Fleet, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    environment = fleet.environment | {
        "PYTHONPATH": str(ROOT), "AUDIT_STATE_DIR": str(fleet.folder / "archive-state-0"),
        "PATH": "/usr/bin:/bin",
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "audit_stream", *words], env=environment, cwd=ROOT,
        capture_output=True, text=True, timeout=120, input=typed,
    )  # fmt: skip


async def run(fleet: Fleet, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(command, fleet, *words, typed=typed)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"AUDIT_PARTITIONS": "3"}, "has 2 partitions, AUDIT_PARTITIONS says 3"),
        ({"AUDIT_TOPICS": "no_such_topic"}, "no such topic: no_such_topic"),
        ({"AUDIT_ARCHIVE_NAME": "another"}, "the keyring is of the archive"),
        ({"AUDIT_ALLOW_ASSURANCE": "worm_locked"}, "asks for worm_locked"),
        ({"AUDIT_KEYRING": "/nowhere/keyring.json"}, "cannot read the keyring"),
        (
            {"AUDIT_BROKER": "kafka://127.0.0.1:1", "AUDIT_BROKER_WAIT_SECONDS": "0"},
            "no Kafka broker answers",
        ),
        ({"AUDIT_SEGMENT_MAX_RECORDS": "0"}, "AUDIT_SEGMENT_MAX_RECORDS"),
    ],
)
async def test_wrong_settings_are_refused_with_a_sentence(
    fleet: Fleet, extra: dict[str, str], says: str
) -> None:
    fleet.extra |= extra
    done = await run(fleet, "worker")
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert "->" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_state_directory_in_use_is_refused(fleet: Fleet) -> None:
    events = Events(3, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(100))
    await fleet.settled()
    done = await run(fleet, "worker")
    assert done.returncode == 2
    assert "in use by another worker" in done.stderr


async def test_a_recreated_topic_stops_with_its_reason(fleet: Fleet) -> None:
    events = Events(5, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(500))
    await fleet.settled()
    await fleet.stop(0)
    async with open_admin(KafkaConnection.from_settings(fleet.settings)) as admin:
        await admin.delete_topics([fleet.topic])
    await eventually(lambda: missing(fleet))
    await fleet.prepare()
    done = await run(fleet, "worker")
    assert done.returncode == 2
    assert "was recreated" in done.stderr
    assert fleet.verify().problems == []


async def missing(fleet: Fleet) -> bool:
    connection = KafkaConnection.from_settings(fleet.settings)
    return fleet.topic not in await topic_partitions(connection, [fleet.topic])


async def test_a_new_disk_is_restored_from_the_changelog_alone(fleet: Fleet) -> None:
    events = Events(31, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(2000))
    await fleet.settled()
    await fleet.kill(0)
    fleet.start(5)  # an empty state directory, the same changelog
    await fleet.send(events.lines(2000))
    await fleet.check(events.oracle)


async def test_state_rebuild_makes_the_table_from_the_archive_alone(fleet: Fleet) -> None:
    events = Events(37, fleet.topic)
    fleet.start(0)
    await fleet.send(events.lines(2000))
    await fleet.settled()
    await fleet.stop(0)
    done = await run(fleet, "state", "rebuild", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["states"] == len(events.oracle.held)
    fleet.start(0)
    await fleet.send(events.lines(2000))
    await fleet.check(events.oracle)


async def test_a_broker_that_restarts_costs_nothing(tmp_path: Path, fresh: str) -> None:
    quick = {"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500"}
    async with EmbeddedKafka(tmp_path / "kafka", overrides=quick) as broker:
        fleet = Fleet(broker.url, tmp_path, fresh)
        await fleet.prepare()
        events = Events(41, fleet.topic)
        fleet.start(0)
        fleet.start(1)
        try:
            await fleet.send(events.lines(2000))
            await eventually(lambda: fleet.archived(200), 60)
            await broker.restart()
            await fleet.send(events.lines(2000))
            await fleet.check(events.oracle, 120)
        finally:
            await fleet.close()


async def test_a_worker_started_before_its_broker_waits(tmp_path: Path, fresh: str) -> None:
    async with EmbeddedKafka(tmp_path / "kafka") as broker:
        fleet = Fleet(broker.url, tmp_path, fresh)
        await fleet.prepare()
        events = Events(43, fleet.topic)
        await fleet.send(events.lines(300))
        await broker.stop()
        fleet.start(0)
        try:
            await eventually(lambda: says(fleet, "trying again"), 60)
            await broker.start()
            await fleet.check(events.oracle, 120)
            assert await fleet.stop(0) == 0
        finally:
            await fleet.close()


async def test_a_worker_that_waits_for_its_broker_can_be_stopped(
    fleet: Fleet,
) -> None:
    fleet.extra["AUDIT_BROKER"] = "kafka://127.0.0.1:1"
    fleet.start(0)
    await eventually(lambda: says(fleet, "trying again"), 60)
    assert await fleet.stop(0) == 0


async def says(fleet: Fleet, words: str) -> bool:
    return words in fleet.log()


@pytest.mark.parametrize("rekeyed", [False, True])
async def test_quarantine_is_listed_and_retried_once_the_map_knows_the_word(
    fleet: Fleet, tmp_path: Path, rekeyed: bool
) -> None:
    if rekeyed:
        fleet.extra |= {"AUDIT_REKEY_TOPICS": fleet.topic}
        await fleet.prepare()
    event = {
        "id": "e-1", "type": "t", "message_id": "m-1", "status": "BOUNCED", "timestamp": "now",
        "workflow_id": "wf", "tenant": {"id": "t1"}, "recipient": {"external_id": "Größe"},
    }  # fmt: skip
    fleet.start(0)
    await fleet.send([(b"m-1", orjson.dumps(event)), (None, b"broken")])
    coverage = await fleet.settled()
    assert (coverage.totals()["q"], coverage.unresolved) == (2, 2)
    await fleet.stop(0)
    listed = json.loads((await run(fleet, "quarantine", "list", "--json")).stdout)
    mine = {c["reason"] for c in listed if c["source"].startswith(fleet.topic)}
    assert mine == {"status-unmapped", "not-json"}
    source = next(c["source"] for c in listed if c["reason"] == "status-unmapped"
                  and c["source"].startswith(fleet.topic))  # fmt: skip
    refused = await run(fleet, "quarantine", "retry", "--source", source)
    assert refused.returncode == 1
    words = json.loads((ROOT / "topics" / "status-map.v1.json").read_bytes())
    words["terminal"]["FAILED"].append("bounced")
    (tmp_path / "map.json").write_text(json.dumps(words))
    fleet.extra["AUDIT_STATUS_MAP"] = str(tmp_path / "map.json")
    before = await topic_ends(KafkaConnection.from_settings(fleet.settings), [fleet.topic])
    tried = await run(fleet, "quarantine", "retry", "--source", source, "--dry-run")
    assert tried.stdout.endswith("1 would be sent back, 0 refused\n"), tried.stdout + tried.stderr
    after = await topic_ends(KafkaConnection.from_settings(fleet.settings), [fleet.topic])
    assert after == before
    sent = await run(fleet, "quarantine", "retry", "--source", source)
    assert sent.returncode == 0, sent.stderr
    fleet.start(0)
    coverage = await fleet.settled()
    pubs = [orjson.loads(line)["pub"] for line in fleet.lines()]
    assert Counter(p["delivery_status"] for p in pubs) == Counter({"FAILED": 1})
    topic, _, partition, offset = source.rsplit("/", 3)
    assert pubs[0]["origin"] == f"{topic}/{partition}/{offset}"
    assert coverage.unresolved == 1
    assert fleet.verify().problems == []
    shown = await run(fleet, "show", "m-1", "--json")
    assert json.loads(shown.stdout)["history"][0]["customer_external_id"] == "Größe"


async def test_a_flood_of_quarantine_stops_the_partition_with_an_alarm(fleet: Fleet) -> None:
    port = free_ports(1)[0]
    fleet.extra |= {"AUDIT_QUARANTINE_BRAKE_RUN": "50", "AUDIT_WEB_PORT": str(port)}
    fleet.start(0)
    events = Events(43, fleet.topic)
    await fleet.send(events.lines(300))
    await fleet.settled()
    await fleet.send([(b"one key", b"nonsense %d" % n) for n in range(500)])
    await eventually(lambda: asyncio.to_thread(alarmed, port, "quarantine-brake"), 60)
    report = fleet.verify()
    assert report.problems == []
    assert report.dispositions["q"] < 50 + events.oracle.quarantined


def alarmed(port: int, key: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/alarms", timeout=5) as answer:
            return any(alarm["key"].startswith(key) for alarm in json.loads(answer.read()))
    except (urllib.error.URLError, OSError):
        return False


async def test_a_store_that_is_away_pauses_the_fetch_until_it_is_back(
    fleet: Fleet, tmp_path: Path
) -> None:
    port, away, topic = free_ports(1)[0], tmp_path / "away", fleet.topic
    fleet.extra |= {
        "AUDIT_WEB_PORT": str(port), "AUDIT_BREAKER_ATTEMPTS": "1",
        "AUDIT_BREAKER_PROBE_SECONDS": "0.3", "AUDIT_STALL_SECONDS": "8",
    }  # fmt: skip
    events = Events(53, topic)
    fleet.start(0, "away", str(away))
    await fleet.send(events.lines(300))
    await fleet.settled()
    away.touch()
    await fleet.send(events.lines(100))  # what fails and opens the breaker
    await eventually(lambda: shows(port, 'audit_stream_breaker_open{target="archive"} 1.0'), 60)
    opened = time.monotonic()
    await fleet.send(events.lines(1000))  # part of it may come by the fetch that was on its way
    await eventually(lambda: lag_of_at_least(port, topic, 1000), 60)  # measured after the send
    judged = await judged_records(port, topic)
    await fleet.send(events.lines(1000))
    await eventually(lambda: lag_of_at_least(port, topic, 2000), 60)
    assert await judged_records(port, topic) == judged < 1400  # nothing more was fetched
    assert not answers(port, "/readyz")
    await asyncio.sleep(max(0.0, opened + 12 - time.monotonic()))  # an outage is no stall
    assert answers(port, "/healthz")
    away.unlink()
    await fleet.check(events.oracle)
    await eventually(lambda: asyncio.to_thread(answers, port, "/readyz"), 30)


async def shows(port: int, line: str) -> bool:
    return line in (await asyncio.to_thread(page, port, "/metrics")).splitlines()


async def total(port: int, name: str, topic: str) -> float:
    lines = (await asyncio.to_thread(page, port, "/metrics")).splitlines()
    wanted = [line for line in lines if line.startswith(f"{name}{{") and f'"{topic}"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in wanted)


async def judged_records(port: int, topic: str) -> float:
    return await total(port, "audit_stream_records_total", topic)


async def lag_of_at_least(port: int, topic: str, offsets: int) -> bool:
    return await total(port, "audit_stream_unarchived_offsets", topic) >= offsets


async def test_ready_metrics_and_health_are_served(fleet: Fleet) -> None:
    port = fleet.serve()
    fleet.start(0)
    events = Events(47, fleet.topic)
    await fleet.send(events.lines(500))
    await fleet.settled()
    await eventually(lambda: asyncio.to_thread(answers, port, "/readyz"), 30)
    assert answers(port, "/healthz")
    archived_total = f'audit_stream_records_archived_total{{topic="{fleet.topic}"}}'

    async def counted() -> bool:  # a segment is counted once it was read back
        return archived_total in await asyncio.to_thread(page, port, "/metrics")

    await eventually(counted)
    text = await asyncio.to_thread(page, port, "/metrics")
    assert "audit_stream_archive_delay_seconds_bucket" in text
    assert 'audit_stream_breaker_open{target="archive"} 0.0' in text
    assert "Größe" not in text


def page(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())


def answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False

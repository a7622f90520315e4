"""Each shipped alert fires: real workers are broken, a real Prometheus scrapes them.

The rules are the shipped ones with shorter durations (`shortened`). Faults that do not disturb each
other happen at the same time, each to an installation of its own on one broker.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import shutil
import time
from collections import defaultdict
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete

from audit_stream.app.erasing import erasing
from audit_stream.erasure.filing import new_request
from audit_stream.erasure.request import Found
from audit_stream.evidence.encoding import time_text
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.embedded import EmbeddedKafka
from tests.integration.test_bad_days import run
from tests.monitoring.test_dashboard import concrete, queries
from tests.support.alert_scene import (
    DELIVERER,
    ERASER,
    GATEWAY,
    HOLDER,
    MIRROR,
    NOTARY,
    Installation,
    scene,
    served,
)
from tests.support.events import Events, Line
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.prometheus import Alertmanager, Prometheus, alerts
from tests.support.siem import Mode
from tests.support.watched import Watched

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

PACE, LONGEST = 30, 12  # see `shortened`
HOUR_MS = 3_600_000
_GATEWAYS = ("IndexBehind", "JournalUnsealed")
#: Shown by promtool only (docs/how-to/monitoring.md): one takes an erasure, the other a day.
NOT_HERE = {"AuditStreamErasureNotTold", "AuditStreamDeliveryKeys", "AuditStreamDelivererDown"}


async def store_away(fleet: Installation, watched: Watched) -> None:
    names = ("BreakerOpen", "AlarmOpen", "NotReady", "NoProgress")
    events = Events(1, fleet.topic)
    await fleet.send(events.lines(300))
    await fleet.settled()
    await watched.silent(*names, **fleet.instance(0))
    await watched.silent("RetentionHeadroomLow", topic=fleet.topic)
    await watched.silent("CheckpointStale", job=fleet.log_job)
    await watched.silent(*_GATEWAYS, **fleet.instance(GATEWAY))
    fleet.faults.turn("away", True)
    fleet.faults.turn("unlisted", True)
    await fleet.ask()
    await fleet.send(events.lines(300))
    await watched.fires(*names, **fleet.instance(0))
    await watched.fires("RetentionHeadroomLow", "RetentionHeadroomCritical", topic=fleet.topic)
    await watched.fires("CheckpointStale", job=fleet.log_job)
    await watched.fires(*_GATEWAYS, **fleet.instance(GATEWAY))
    fleet.faults.turn("away", False)
    fleet.faults.turn("unlisted", False)
    await watched.ends(*names, **fleet.instance(0))
    await watched.ends("RetentionHeadroomLow", "RetentionHeadroomCritical", topic=fleet.topic)
    await watched.ends("CheckpointStale", job=fleet.log_job)
    await watched.ends(*_GATEWAYS, **fleet.instance(GATEWAY))
    await fleet.check(events.oracle)
    await others_die(fleet, watched)


async def others_die(fleet: Installation, watched: Watched) -> None:
    """Who is no worker."""
    alerts_of = {NOTARY: "NotaryDown", GATEWAY: "GatewayDown"}
    for index, name in alerts_of.items():
        await watched.silent(name, **fleet.instance(index))
        await fleet.kill(index)
    for index, name in alerts_of.items():
        await watched.fires(name, **fleet.instance(index))
    fleet.run_notary()
    fleet.run_gateway()
    for index, name in alerts_of.items():
        await watched.ends(name, **fleet.instance(index))


async def bad_records(fleet: Installation, watched: Watched, textfile: Path) -> None:
    topic, events = fleet.topic, Events(2, fleet.topic)
    old = int(time.time() * 1000) - HOUR_MS
    burns = ("ArchiveDelayFastBurn", "ArchiveDelaySlowBurn")
    await fleet.send(good(events, 300))
    await fleet.settled()
    await watched.scraped(f'audit_stream_archive_delay_seconds_count{{topic="{topic}"}} > 0')
    await watched.silent(
        *burns, "QuarantineOld", "QuarantineRateHigh", "KeysMisplaced", topic=topic
    )
    await fleet.send_at(good(events, 300), old)
    await watched.fires(*burns, topic=topic)
    nonsense: list[Line] = [(None, b"nonsense") for _ in range(60)]
    await fleet.send_at(good(events, 240) + nonsense, old)
    await watched.fires("QuarantineRateHigh", "QuarantineOld", topic=topic)
    await fleet.send_at(good(events, 50), misplaced=True)
    await watched.fires("KeysMisplaced", topic=topic)
    await fleet.settled()
    await proofs(fleet, watched, textfile)
    await watched.ends("QuarantineRateHigh", *burns, topic=topic)
    await fleet.send([(b"one key", b"nonsense %d" % n) for n in range(500)])
    await watched.fires("PartitionStopped", topic=topic)
    await fleet.stop(0)
    fleet.run(0)
    await watched.ends("KeysMisplaced", topic=topic)


def good(events: Events, count: int) -> list[Line]:
    """About so many lines, without those that belong into quarantine."""
    return [line for line in events.lines(count) if line[0] is not None]


async def proofs(fleet: Installation, watched: Watched, textfile: Path) -> None:
    """What `reconcile --textfile` proves: quarantine, a hole in the archive, and its own age."""
    reconcile = ("reconcile", "--textfile", str(textfile))
    await run(fleet, *reconcile)
    await watched.fires("QuarantineUnresolved", topic=fleet.topic)
    await watched.fires("ReconcileStale")
    segments = sorted((fleet.settings.archive_path / "segments").rglob("*.gz"))
    middle = next(a for a, b in itertools.pairwise(segments[1:])
                  if segments[0].parent == a.parent == b.parent)  # fmt: skip
    shutil.move(middle, fleet.folder / "taken")
    assert (await run(fleet, *reconcile)).returncode == 1
    await watched.fires("UnexplainedOffsets", topic=fleet.topic)
    shutil.move(fleet.folder / "taken", middle)
    assert (await run(fleet, *reconcile)).returncode == 0
    await watched.ends("UnexplainedOffsets", topic=fleet.topic)
    await watched.ends("ReconcileStale")


async def workers_die(fleet: Installation, watched: Watched) -> None:
    events = Events(3, fleet.topic)
    await fleet.send(events.lines(300))
    covered = await fleet.settled()
    await watched.silent("PartitionUnowned", "OffsetsLost", topic=fleet.topic)
    await watched.silent("WorkerDown", "WorkerRestarting", **fleet.instance(1))
    await fleet.kill(1)
    await watched.fires("PartitionUnowned", topic=fleet.topic)
    await watched.fires("WorkerDown", **fleet.instance(1))
    await watched.ends("PartitionUnowned", topic=fleet.topic)
    for _ in range(4):  # three more starts than the first one that is scraped
        before = await started(watched, fleet, 1)
        fleet.run(1)
        await eventually(functools.partial(restarted, watched, fleet, 1, before), 60)
        await fleet.kill(1)
    await watched.fires("WorkerRestarting", **fleet.instance(1))
    await fleet.stop(0)
    ends = {place: found.end for place, found in covered.partitions.items()}
    await fleet.send(events.lines(300))
    async with open_admin(KafkaConnection.from_settings(fleet.settings)) as admin:
        await admin.delete_records({
            TopicPartition(*place): RecordsToDelete(before_offset=end + 20)
            for place, end in ends.items()
        })  # fmt: skip
    fleet.run(1)
    fleet.run(0)
    await watched.fires("OffsetsLost", topic=fleet.topic)
    await watched.ends("WorkerDown", **fleet.instance(1))
    await fleet.settled()  # else they would be judged, and counted, once more
    for index in (0, 1):
        await fleet.stop(index)
        fleet.run(index)
    await watched.ends("WorkerRestarting", **fleet.instance(1))
    await watched.ends("OffsetsLost", topic=fleet.topic)


async def started(watched: Watched, fleet: Installation, index: int) -> set[str]:
    """Every start of a worker that was scraped within the last minutes."""
    where = f'instance="{fleet.instance(index)["instance"]}"'
    found = await watched.prometheus.query(f"process_start_time_seconds{{{where}}}[10m]")
    return {value for series in found for _, value in series["values"]}


async def restarted(watched: Watched, fleet: Installation, index: int, before: set[str]) -> bool:
    return bool(await started(watched, fleet, index) - before)


async def machine_fails(fleet: Installation, watched: Watched) -> None:
    here, events = fleet.instance(0), Events(4, fleet.topic)
    names = ("EventLoopStalled", "AssuranceBelowTarget", "DiskFilling", "DiskFull")
    await fleet.ready(0)
    await watched.silent(*names, "RestoreTooLong", **here)
    fleet.faults.turn("stall", True)
    await fleet.send(events.lines(100))
    await watched.fires("EventLoopStalled", **here)
    fleet.faults.turn("weak", True)
    fleet.faults.turn("full-disk", True)
    await watched.fires("AssuranceBelowTarget", "DiskFilling", "DiskFull", **here)
    fleet.faults.turn("weak", False)
    fleet.faults.turn("full-disk", False)
    await watched.ends(*names, **here)
    fleet.faults.turn("slow-restore", True)
    await fleet.kill(0)
    fleet.run_switched()
    await watched.fires("RestoreTooLong", **here)
    fleet.faults.turn("slow-restore", False)
    await watched.ends("RestoreTooLong", **here)
    await fleet.check(events.oracle)


async def holds_on_a_folder(fleet: Installation, watched: Watched) -> None:
    """Declared, and enforced by nobody: a folder can hold nothing."""
    here, who = fleet.instance(HOLDER), ("--by", "counsel")
    await watched.silent("HoldsUnenforced", **here)
    added = await run(
        fleet, "hold", "add", "--message", "m-1", "--matter", "LIT-1", "--custodian", "desk",
        "--reason", "ORD-1", "--approver", "chief", "--json", *who,
    )  # fmt: skip
    hold_id = json.loads(added.stdout)["hold_id"]
    await watched.fires("HoldsUnenforced", **here)
    await run(fleet, "hold", "release", hold_id, "--reason", "END-1", *who)
    await run(fleet, "hold", "approve", hold_id, "--by", "chief")
    await watched.ends("HoldsUnenforced", **here)
    await watched.silent("KeeperDown", **here)
    await fleet.kill(HOLDER)
    await watched.fires("KeeperDown", **here)
    fleet.run(HOLDER, "holder")
    await watched.ends("KeeperDown", **here)


async def erasure_is_due(fleet: Installation, watched: Watched) -> None:
    """Somebody asked two months ago, and nobody approved."""
    here = fleet.instance(ERASER)
    await watched.silent("ErasureDue", **here)
    async with erasing(fleet.settings) as place:
        long_ago = time_text(int((time.time() - 60 * 86_400) * 1000))
        await place.requests.file(new_request(
            ref="R-1", kind="customer", basis="GDPR", tags=[bytes(range(16))], by="privacy",
            at=long_ago, found=Found(records=0, tenants=(), first=None, last=None),
        ))  # fmt: skip
    await watched.fires("ErasureDue", **here)
    await run(fleet, "redact", "withdraw", "R-1")
    await watched.ends("ErasureDue", **here)


async def receiver_refuses(fleet: Installation, watched: Watched) -> None:
    """It takes no token from the beginning; then it takes it, and rejects some records."""
    here, names = fleet.instance(DELIVERER), ("DeliveryBreakerOpen", "DeliveryBehind")
    await watched.silent(*names, "Undeliverable", **here)
    await watched.fires(*names, **here)
    fleet.receiver.be(Mode(refuse={":DELIVERED": 422}))
    await watched.ends(*names, **here)
    await watched.fires("Undeliverable", **here)


async def second_store(fleet: Installation, watched: Watched) -> None:
    """It is away for a while; then the archive alone has what does not verify."""
    events, worker, sweeps = Events(6, fleet.topic), fleet.instance(0), fleet.instance(MIRROR)
    await fleet.send(events.lines(100))
    await fleet.settled()
    await watched.silent("SecondaryBehind", **worker)
    second = fleet.folder / "second"
    away = second.rename(fleet.folder / "away")
    second.write_bytes(b"a file")  # or the sweep would make a new folder, and fill it
    await fleet.send(events.lines(100))
    await watched.fires("SecondaryBehind", **worker)
    second.unlink()
    away.rename(second)
    await watched.ends("SecondaryBehind", **worker)
    await watched.silent("SecondaryDiverged", **sweeps)
    forged = fleet.settings.archive_path / "maps" / f"{'ab' * 32}.json"
    forged.write_bytes(b"{}")
    await watched.fires("SecondaryDiverged", **sweeps)
    forged.unlink()
    await watched.ends("SecondaryDiverged", **sweeps)


async def fork(fleet: Installation, watched: Watched) -> None:
    """Another history of the same offsets, by the same keys, is put into the archive."""
    events = Events(5, fleet.topic)
    await fleet.send(events.lines(100))
    await fleet.settled()
    await fleet.stop(0)
    await watched.silent("LogLeftOut", **fleet.instance(NOTARY))
    foreign = await another_history(fleet, events)
    await watched.silent("Fork", **fleet.instance(0))
    fleet.run(0)
    assert await fleet.ended(0, 120) == 70, fleet.log()
    fleet.run(0)
    await watched.fires("Fork", **fleet.instance(0))
    await watched.fires("LogLeftOut", **fleet.instance(NOTARY))
    await fleet.ended(0, 120)
    foreign.unlink()
    assert await fleet.stop(NOTARY) == 0
    fleet.run_notary()
    fleet.run(0)
    await fleet.ready(0)
    assert await fleet.stop(0) == 0
    fleet.run(0)
    await fleet.ready(0)
    await watched.ends("Fork", **fleet.instance(0))
    await watched.ends("LogLeftOut", **fleet.instance(NOTARY))
    await fleet.check(events.oracle)


async def another_history(fleet: Installation, events: Events) -> Path:
    """Archive the topic a second time, and put a segment of that where the first archive ends."""
    second = Fleet(fleet.broker, fleet.folder, fleet.prefix, archive="second", app="alerts-second")
    await second.prepare()
    ours, theirs = fleet.settings.archive_path, second.settings.archive_path
    for name in ("streams", "maps"):
        shutil.copytree(ours / name, theirs / name)
    second.start(7)
    await second.settled(120)
    before = set(theirs.rglob("*.gz"))
    await fleet.send(events.lines(100))
    await second.settled(120)
    await second.close()
    segment = min(set(theirs.rglob("*.gz")) - before)
    target = ours / segment.relative_to(theirs)
    shutil.copy(segment, target)
    return target


async def test_each_alert_fires_and_is_over(tmp_path: Path) -> None:
    textfiles = tmp_path / "textfiles"
    textfiles.mkdir()
    manager, prometheus = Alertmanager(tmp_path / "am"), Prometheus(tmp_path / "prom")
    watched = Watched(prometheus)
    try:
        async with (
            EmbeddedKafka(tmp_path / "kafka") as broker,
            scene(broker.url, tmp_path) as fleets,
        ):
            jobs: dict[str, list[int]] = defaultdict(list)
            for fleet in fleets.values():
                for job, ports in fleet.jobs.items():
                    jobs[job] += ports
            with served(textfiles) as exporter:
                await manager.start()
                jobs["reconcile"] = [exporter]
                await prometheus.start(jobs, manager.port, PACE, LONGEST)
                await watched.fires("Watchdog")
                await everything_breaks(fleets, watched, textfiles / "metrics")
                await broker_freezes(broker, fleets, watched)
                await the_dashboard_answers(prometheus)
                await all_workers_end(fleets, watched, manager)
    finally:
        prometheus.stop()
        manager.stop()
    print("", watched.table(), sep="\n")
    assert {f"AuditStream{name}" for name in watched.fired} == set(alerts()) - NOT_HERE
    for alert in watched.seen.values():
        texts = alert["annotations"]
        assert texts["runbook_url"].startswith("https://runbooks.example/audit-stream/")
        assert "<no value>" not in json.dumps(texts)
        assert "<error" not in json.dumps(texts)


async def everything_breaks(
    fleets: dict[str, Installation], watched: Watched, textfile: Path
) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(store_away(fleets["store"], watched))
        group.create_task(bad_records(fleets["records"], watched, textfile))
        group.create_task(workers_die(fleets["workers"], watched))
        group.create_task(machine_fails(fleets["machine"], watched))
        group.create_task(fork(fleets["fork"], watched))
        group.create_task(second_store(fleets["twin"], watched))
        group.create_task(holds_on_a_folder(fleets["records"], watched))
        group.create_task(erasure_is_due(fleets["records"], watched))
        group.create_task(receiver_refuses(fleets["records"], watched))


async def broker_freezes(
    broker: EmbeddedKafka, fleets: dict[str, Installation], watched: Watched
) -> None:
    here = fleets["store"].instance(0)
    await watched.silent("BrokerAway", **here)
    await asyncio.to_thread(broker.pause)
    await watched.fires("BrokerAway", **here)
    await asyncio.to_thread(broker.resume)
    await watched.ends("BrokerAway", **here)


async def the_dashboard_answers(prometheus: Prometheus) -> None:
    """Every query of the dashboard had an answer at some time; nothing was rekeyed, nobody outside
    was asked to vouch, and no receiver whether it honours keys, which takes a day.

    Looked at twice a scrape: what a worker that ends at once tells is there for one only.
    """
    silent = {
        expression
        for expression, _ in queries()
        if not await prometheus.query(f"count_over_time(({concrete(expression)})[10m:500ms])")
    }
    idle = ("rekeyed", "audit_stream_anchor_", "audit_stream_delivery_key_")
    assert {each for each in silent if not any(word in each for word in idle)} == set()


async def all_workers_end(
    fleets: dict[str, Installation], watched: Watched, manager: Alertmanager
) -> None:
    await watched.silent("FleetDown")
    for fleet in fleets.values():
        await fleet.close()
    await watched.fires("FleetDown")

    async def inhibited() -> bool:
        told = {
            alert["labels"]["alertname"]: alert for alert in await manager.get("/api/v2/alerts")
        }
        down, all_down = (told.get(f"AuditStream{n}Down") for n in ("Worker", "Fleet"))
        return bool(
            down and all_down and down["status"]["inhibitedBy"]
            and not all_down["status"]["inhibitedBy"]
            and [receiver["name"] for receiver in all_down["receivers"]] == ["pager"]
            and "runbooks" not in all_down["labels"]
        )  # fmt: skip

    await eventually(inhibited, 60)

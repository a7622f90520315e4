"""State that grows: ingest by the million, disk, and what it takes to have the state again.

Every message has one event, DELIVERED, so each is a new key, a record to seal and a line to keep:
no mix of statuses is harder on the state.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import orjson

from audit_stream.kafka.embedded import EmbeddedKafka
from bench.aftermath import Ready, ready
from bench.contenders import AuditStream, Run
from bench.effects import Effect
from bench.fingerprint import Fingerprint, of_archive
from bench.flood import flood, send
from bench.load import create_topics, group_members, open_admin
from bench.processes import Fleet, RunFailed
from tests.support.sampling import of_process, size_of

_STALL_SECONDS = 300.0
_AGAIN = 20_000  # messages that are sent once more, in the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One look at the workers."""

    at: float  # seconds since they began
    archived: int
    cpu_seconds: float
    rss_bytes: int  # of the larger worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A command that ended well."""

    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    said: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """Everything there is to say of one run."""

    messages: int
    moments: Sequence[Moment]
    disk: dict[str, int]
    warm: Ready
    cold: Ready
    rebuild: Used
    rebuilt: Ready
    verify: Used
    loads: Sequence[float]  # the machine's, while it ran


async def grow(kafka: EmbeddedKafka, folder: Path, messages: int) -> Grown:
    """The whole run. RunFailed when something is missing, twice, or took too long."""
    run = Run(name="growth", bootstrap=kafka.bootstrap, folder=folder / "growth", tools=folder)
    await create_topics(run.bootstrap, [run.raw_topic], run.partitions)
    due = await flood(run.bootstrap, run.raw_topic, messages, run.partitions)
    return await grown(kafka, run, messages, due)


async def grown(kafka: EmbeddedKafka, run: Run, messages: int, due: Fingerprint) -> Grown:
    """What `grow` measures, once the messages wait in the raw topic."""
    run.folder.mkdir()
    ours = AuditStream()
    await asyncio.to_thread(ours.prepare, run)
    loads = [os.getloadavg()[0]]
    moments = await _ingested(ours, run, messages)
    loads.append(os.getloadavg()[0])
    disk = _sizes(kafka, ours, run)
    if await asyncio.to_thread(of_archive, ours.archive(run)) != due:
        raise RunFailed("what is archived is not what was sent")
    warm = await ready(ours, run)
    cold = await _ready_on_empty_disk(ours, run)
    rebuild = await asyncio.to_thread(command, ours, run, "state", "rebuild", "--json")
    if orjson.loads(rebuild.said)["states"] != messages:
        raise RunFailed(f"rebuilt: {rebuild.said!r}")
    rebuilt = await _ready_on_empty_disk(ours, run)
    await _again(ours, run, messages)
    verify = await asyncio.to_thread(command, ours, run, "verify", "--json")
    loads.append(os.getloadavg()[0])
    return Grown(
        messages=messages, moments=moments, disk=disk, warm=warm, cold=cold, rebuild=rebuild,
        rebuilt=rebuilt, verify=verify, loads=loads,
    )  # fmt: skip


async def _ready_on_empty_disk(ours: AuditStream, run: Run) -> Ready:
    for member in range(run.members):
        shutil.rmtree(run.folder / f"state-{member}")
    return await ready(ours, run)


async def _ingested(ours: AuditStream, run: Run, records: int) -> list[Moment]:
    """Start the workers on what waits, and look every second until all is archived."""
    fleet = Fleet(ours.commands(run))
    fleet.start()
    try:
        async with open_admin(run.bootstrap) as admin:
            while await group_members(admin, run.name) != run.members:
                fleet.watch()
                await asyncio.sleep(0.1)
        async with ours.effect(run) as effect:
            return await _watched(effect, fleet, records)
    finally:
        await asyncio.to_thread(fleet.stop)


async def _watched(effect: Effect, fleet: Fleet, records: int) -> list[Moment]:
    started = moved = time.perf_counter()
    moments: list[Moment] = []
    while not moments or moments[-1].archived < records:
        await asyncio.sleep(1)
        fleet.watch()
        # Asked of the archive: a worker does not count what it stored while losing a partition.
        found = _look(await effect.count(), fleet, time.perf_counter() - started)
        if not moments or found.archived > moments[-1].archived:
            moved = time.perf_counter()
        if time.perf_counter() - moved > _STALL_SECONDS:
            raise RunFailed(f"no progress: {found.archived} of {records}\n{fleet.tails()}")
        moments.append(found)
    begun = next(index for index, moment in enumerate(moments) if moment.archived)
    return moments[max(0, begun - 1) :]


def _look(archived: int, fleet: Fleet, at: float) -> Moment:
    used = [of_process(pid) for pid in fleet.pids]
    return Moment(
        at=at, archived=archived, cpu_seconds=sum(each["cpu_seconds"] for each in used),
        rss_bytes=int(max(each["rss"] for each in used)),
    )  # fmt: skip


async def _again(ours: AuditStream, run: Run, messages: int) -> None:
    """Send some once more: whoever has the state knows every one of them."""
    before = len(list((ours.archive(run) / "segments").rglob("*.gz")))
    fleet = Fleet(ours.commands(run))
    fleet.start()
    try:
        await send(run.bootstrap, run.raw_topic, _AGAIN, run.partitions, whole=messages // 2)
        words = ("reconcile", "--wait", "300", "--json")
        done = await asyncio.to_thread(command, ours, run, *words)
    finally:
        await asyncio.to_thread(fleet.stop)
    found = orjson.loads(done.said)
    if (found["dispositions"]["archived"], found["dispositions"]["duplicate"]) != (
        messages, _AGAIN,
    ):  # fmt: skip
        raise RunFailed(f"sent again: {found['dispositions']}, {before} segments before")


def command(ours: AuditStream, run: Run, *words: str) -> Used:
    """Run one of our commands, and see what it took."""
    env = {**os.environ, **ours.settings(run, 0), "AUDIT_WEB_PORT": "0"}
    started = time.perf_counter()
    with (run.folder / f"{words[0]}.err").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, *AuditStream.PROGRAM, *words], cwd=run.folder, env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    with process.stdout or BytesIO() as out:
        said = out.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        text = (run.folder / f"{words[0]}.err").read_text()[-2000:]
        raise RunFailed(f"{words}: {process.returncode} {said[-500:]!r}\n{text}")
    return Used(
        seconds=time.perf_counter() - started, cpu_seconds=used.ru_utime + used.ru_stime,
        peak_rss_bytes=used.ru_maxrss * 1024, said=said,
    )  # fmt: skip


def _sizes(kafka: EmbeddedKafka, ours: AuditStream, run: Run) -> dict[str, int]:
    logs = kafka.log_path.parent / "log"
    return {
        "table (RocksDB)": size_of(run.folder.glob("state-*")),
        "changelog": size_of(logs.glob(f"{run.name}-*changelog*")),
        "raw topic (lz4)": size_of(logs.glob(f"{run.raw_topic}-[0-9]*")),
        "archive": size_of([ours.archive(run)]),
        "subject objects": size_of([run.folder / "subjects"]),
    }


def by_million(moments: Sequence[Moment], step: int) -> list[tuple[int, float, float, float]]:
    """For each `step` of records: up to how many, records/s, processor µs each, most bytes."""
    rows, first = [], moments[0]
    marks = [m for m, n in pairwise(moments) if m.archived // step != n.archived // step]
    for mark in [*marks, moments[-1]]:
        count = mark.archived - first.archived
        if count < step // 2:
            continue
        inside = [m.rss_bytes for m in moments if first.at <= m.at <= mark.at]
        rows.append((
            mark.archived, count / (mark.at - first.at),
            (mark.cpu_seconds - first.cpu_seconds) / count * 1e6, max(inside),
        ))  # fmt: skip
        first = mark
    return rows

"""`backfill`: checks, the target's streams, and what a process does with one partition."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from audit_stream.app.assurance import check_assurance
from audit_stream.app.build import build_context
from audit_stream.app.checks import check_epoch, load_status_map, lock_state_dir, topic_faults
from audit_stream.app.covers import open_keyring
from audit_stream.app.guarded import guarded_stores
from audit_stream.app.parallel import Channel, Progress, folder_name, run_jobs
from audit_stream.app.places import archive_store, archive_to_read
from audit_stream.app.registered import private_of, registered_run
from audit_stream.app.topics import archived_topics
from audit_stream.archive.chain import Chain
from audit_stream.archive.copies import check_target, copied_streams, found_copies
from audit_stream.archive.fleet import newest_epoch_told
from audit_stream.archive.streams import generations
from audit_stream.errors import AuditError, ConfigError
from audit_stream.evidence import layout
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.rawlog import log_bounds, offsets_at, open_raw_log
from audit_stream.keys.file import LoadedKeyring
from audit_stream.ports import WormStore
from audit_stream.privacy.subjects import KeyDeriver
from audit_stream.replay.backfill import Backfill, BackfillReport
from audit_stream.replay.states import States
from audit_stream.settings import Settings
from audit_stream.stream.context import no_hook
from audit_stream.stream.process import die
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics

FOLDER = "backfill"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillOptions:
    """What is asked for."""

    since_ms: int | None = None  # Kafka time of the first offset; None is the log's start
    rate: int | None = None  # raw records a second, all partitions together
    until_caught_up: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillJob:
    """One partition of one stream of the target archive, which `settings` name."""

    settings: Settings
    options: BackfillOptions
    stream: StreamObject
    partition: int

    @property
    def folder(self) -> Path:
        """Where its states are kept: with another target, elsewhere."""
        target = sha256(self.settings.archive.encode()).hexdigest()[:16]
        name = folder_name(self.stream, self.partition)
        return self.settings.state_dir / FOLDER / target / name


def backfill(
    live: Settings, target: Settings, options: BackfillOptions, *, processes: int,
    told: Callable[[Sequence[BackfillJob], Progress], None],
) -> list[BackfillReport]:  # fmt: skip
    """Fill the archive that `target` names; `told` hears how far each partition is."""
    if live.archive_place == target.archive_place:
        raise ConfigError("--into names the live archive", hint="name a new, empty one")
    if options.dry_run:
        return asyncio.run(_plan(live, target, options))
    with registered_run(live, FOLDER):
        jobs = asyncio.run(_jobs(live, target, options))
        with lock_state_dir(target.state_dir / FOLDER):
            return run_jobs(
                backfill_partition, jobs, processes=processes, log_level=target.log_level,
                told=partial(told, jobs),
            )  # fmt: skip


async def _plan(
    live: Settings, target: Settings, options: BackfillOptions
) -> list[BackfillReport]:  # fmt: skip
    """What would be done, without making anything."""
    ring = open_keyring(target)
    streams = await _live_streams(live, ring)
    connection = KafkaConnection.from_settings(target)
    founded: Mapping[str, StreamObject] = {}
    store: WormStore | None = None
    with contextlib.suppress(ConfigError):  # no folder yet
        store = archive_to_read(target)
    reports: list[BackfillReport] = []
    try:
        if store is not None:
            founded = await check_target(store, ring.trusted, streams)
        for topic, of_topic in streams.items():
            stream = founded.get(topic) or of_topic[-1]
            genesis = await _genesis(connection, of_topic[-1], options)
            bounds = await log_bounds(connection, topic, stream.partitions, FOLDER)
            for partition, (_, end) in enumerate(bounds):
                at = genesis[partition]
                if store is not None and topic in founded:
                    last = await Chain(store, ring.trusted, stream, partition).last()
                    at = stream.genesis[partition] if last is None else last.link.next
                reports.append(_report(stream, partition, began=at, end=end))
    finally:
        if store is not None:
            await store.close()
    return reports


def _report(stream: StreamObject, partition: int, began: int = 0, end: int = 0) -> BackfillReport:
    return BackfillReport(
        topic=stream.topic, generation=stream.generation, partition=partition,
        genesis=stream.genesis[partition], began=began, next=began, end=end,
    )  # fmt: skip


async def _jobs(live: Settings, target: Settings, options: BackfillOptions) -> list[BackfillJob]:
    """Check, found the target's streams, put its status map. Raises `AuditError`."""
    ring = open_keyring(target)
    streams = await _live_streams(live, ring)
    connection = KafkaConnection.from_settings(target)
    store = archive_store(target)
    jobs: list[BackfillJob] = []
    try:
        await check_assurance(store, target)
        founded = await check_target(store, ring.trusted, streams)
        for topic, of_topic in streams.items():
            stream = founded.get(topic)
            if stream is None:
                copies = copied_streams(of_topic, await _genesis(connection, of_topic[-1], options))
                stream = await found_copies(store, ring.signer, ring.trusted, copies)
            await check_epoch(store, ring, {topic: stream})
            jobs += [
                BackfillJob(settings=target, options=options, stream=stream, partition=partition)
                for partition in range(stream.partitions)
            ]
        status_map = load_status_map(target)
        await store.put_if_absent(layout.map_name(status_map.hash), status_map.canonical_bytes, {})
    finally:
        await store.close()
    return jobs


async def _live_streams(live: Settings, ring: LoadedKeyring) -> dict[str, list[StreamObject]]:
    """The generations of each archived topic, checked against the broker."""
    store = archive_to_read(live)
    try:
        streams = {
            topic: await generations(store, ring.trusted, topic)
            for topic in archived_topics(live).values()
        }
        if empty := [topic for topic, found in streams.items() if not found]:
            raise ConfigError(
                f"the live archive holds no stream of {', '.join(empty)} to copy",
                hint="start a worker first: it founds the streams",
            )
        newest = {topic: found[-1] for topic, found in streams.items()}
        async with private_of(live) as private:
            await check_epoch(store, ring, newest, await newest_epoch_told(private))
    finally:
        await store.close()
    for error in (await topic_faults(KafkaConnection.from_settings(live), newest)).values():
        raise error
    return streams


async def _genesis(
    connection: KafkaConnection, stream: StreamObject, options: BackfillOptions
) -> list[int]:
    """Where the copy of a stream begins: never before the stream itself did."""
    topic, count = stream.topic, stream.partitions
    if options.since_ms is None:
        wanted = [start for start, _ in await log_bounds(connection, topic, count, FOLDER)]
    else:
        wanted = await offsets_at(connection, topic, count, options.since_ms, FOLDER)
    return [max(pair) for pair in zip(wanted, stream.genesis, strict=True)]


def backfill_partition(job: BackfillJob, channel: Channel) -> BackfillReport:
    """In a process of its own: fill one partition. A stop keeps what is stored."""
    report = _report(job.stream, job.partition)
    began = time.monotonic()
    states = States(job.folder, keep=True)
    try:
        channel.run(_fill(job, channel, states, report))
    finally:
        report.seconds = time.monotonic() - began
        (states.discard if report.complete else states.close)()
    return report


async def _fill(job: BackfillJob, channel: Channel, states: States, report: BackfillReport) -> None:
    settings, stream = job.settings, job.stream
    ring = open_keyring(settings)
    metrics, alarms = Metrics(), AlarmBoard(FOLDER)
    stores = guarded_stores(settings, alarms, metrics, Health())
    store = stores.archive
    assurance = (await store.posture()).assurance
    status_map = load_status_map(settings)
    context = build_context(
        settings, ring, stores, assurance, status_map, metrics, alarms, no_hook,
        partial(die, last_words=alarms.flush),
    )  # fmt: skip
    connection = KafkaConnection.from_settings(settings)
    keys = KeyDeriver(ring.keyring, ring.cover, bytes.fromhex(stream.stream))
    chain = Chain(store, ring.trusted, stream, job.partition)
    try:
        async with open_raw_log(connection, stream.topic, job.partition, FOLDER) as source:
            work = Backfill(
                context, chain, source, states, keys, report, told=channel.told,
                spend=channel.throttle(job.options.rate).spend,
            )  # fmt: skip
            await work.run(until_caught_up=job.options.until_caught_up)
    except AuditError as error:
        report.error = f"{error.code}: {error}"
    finally:
        await stores.close()

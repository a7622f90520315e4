"""`replay --compare`: the jobs, one for each partition, and what a process does with one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from audit_stream import __version__
from audit_stream.app.checks import check_epoch, lock_state_dir
from audit_stream.app.covers import cover_opener
from audit_stream.app.parallel import Channel, Progress, folder_name, run_jobs
from audit_stream.app.places import archive_to_read
from audit_stream.app.registered import private_of, registered_run
from audit_stream.app.topics import archived_topics
from audit_stream.archive.chain import Chain
from audit_stream.archive.fleet import newest_epoch_told
from audit_stream.archive.range import EVERYTHING, Range
from audit_stream.archive.streams import generations
from audit_stream.errors import AuditError, ConfigError
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.rawmac import raw_key
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.kafka.ask import describe_topics
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.rawlog import open_raw_log
from audit_stream.keys.file import LoadedKeyring, load_closed
from audit_stream.ports import WormStore
from audit_stream.replay.compare import Comparison
from audit_stream.replay.cursor import RawSource
from audit_stream.replay.keys import StreamKeys
from audit_stream.replay.rejudge import Maps, Rejudge, Rules
from audit_stream.replay.report import PartitionReport
from audit_stream.replay.resume import resume
from audit_stream.replay.states import States
from audit_stream.replay.tally import Tally
from audit_stream.settings import Settings

FOLDER = "replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions:
    """What is asked for; None is everything."""

    topics: Sequence[str] | None = None
    partitions: Sequence[int] | None = None
    wanted: Range = EVERYTHING
    rate: int | None = None  # raw records a second, all partitions together
    resume: bool = False
    keep_going: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareJob:
    """One partition of one stream."""

    settings: Settings
    options: CompareOptions
    stream: StreamObject
    partition: int
    newest: bool
    same_log: bool  # whether the broker's topic is the one that was archived

    @property
    def folder(self) -> Path:
        """Where its states are kept."""
        name = folder_name(self.stream, self.partition)
        if self.options.dry_run:
            name += "-dry-run"  # what an earlier run left stays as it is
        return self.settings.state_dir / FOLDER / name

    @property
    def of(self) -> str:
        """What is compared with what, by what: an earlier run of the same can be gone on with."""
        settings, stream = self.settings, self.stream
        start = self.options.wanted.start
        facts = [
            __version__, settings.archive, stream.stream, self.partition, str(start),
            settings.regulatory_tag(raw_topic(settings, stream.topic)),
            sorted(settings.placeholder_ids), load_closed(settings.keyring).keyring.epoch,
        ]  # fmt: skip
        return sha256(canonical(facts)).hexdigest()


def raw_topic(settings: Settings, archived: str) -> str:
    """The raw topic that is archived as `archived`: itself, or the one it is the twin of."""
    return next((raw for raw, name in archived_topics(settings).items() if name == archived),
                archived)  # fmt: skip


def compare(
    settings: Settings, options: CompareOptions, *, processes: int,
    told: Callable[[Sequence[CompareJob], Progress], None],
) -> list[PartitionReport]:  # fmt: skip
    """Compare the partitions asked for; `told` hears how far each job is."""
    with registered_run(settings, FOLDER):
        jobs = asyncio.run(compare_jobs(settings, options))
        with lock_state_dir(settings.state_dir / FOLDER):
            return run_jobs(
                compare_partition, jobs, processes=processes, log_level=settings.log_level,
                told=partial(told, jobs),
            )  # fmt: skip


async def compare_jobs(settings: Settings, options: CompareOptions) -> list[CompareJob]:
    """One for each partition of each stream that is asked for. Raises `AuditError`."""
    ring = load_closed(settings.keyring)
    topics = _chosen(settings, options)
    broker = await describe_topics(KafkaConnection.from_settings(settings), topics)
    store = archive_to_read(settings)
    jobs: list[CompareJob] = []
    try:
        async with private_of(settings) as private:
            told = await newest_epoch_told(private)
        for topic in topics:
            streams = await generations(store, ring.trusted, topic)
            if not streams:
                raise ConfigError(f"the archive holds nothing of {topic}",
                                  hint="check AUDIT_ARCHIVE and --topic")  # fmt: skip
            await check_epoch(store, ring, {topic: streams[-1]}, told)
            topic_id = broker[topic].topic_id if topic in broker else ""
            jobs += [
                CompareJob(
                    settings=settings, options=options, stream=stream, partition=partition,
                    newest=stream is streams[-1],
                    same_log=topic in broker and stream.topic_id in (None, topic_id),
                )
                for stream in streams
                for partition in range(stream.partitions)
                if options.partitions is None or partition in options.partitions
            ]  # fmt: skip
    finally:
        await store.close()
    if not jobs:
        raise ConfigError("no stream has this partition", hint="check --partition")
    return jobs


def _chosen(settings: Settings, options: CompareOptions) -> list[str]:
    archived = archived_topics(settings)
    asked = archived if options.topics is None else options.topics
    if strangers := sorted(set(asked) - set(archived) - set(archived.values())):
        raise ConfigError(f"{', '.join(strangers)} is not in AUDIT_TOPICS", hint="check --topic")
    return [archived.get(topic, topic) for topic in asked]


def compare_partition(job: CompareJob, channel: Channel) -> PartitionReport:
    """In a process of its own: compare one partition. A stop keeps the position."""
    report = PartitionReport(
        topic=job.stream.topic, generation=job.stream.generation, partition=job.partition,
        newest=job.newest, asked_from=job.options.wanted.start is not None, tally=Tally(),
    )  # fmt: skip
    began = time.monotonic()
    states = States(job.folder, keep=job.options.resume)
    try:
        channel.run(_compare(job, channel, states, report))
    finally:
        report.seconds = time.monotonic() - began
        (states.discard if report.complete else states.close)()
    return report


async def _compare(
    job: CompareJob, channel: Channel, states: States, report: PartitionReport
) -> None:
    settings = job.settings
    ring = load_closed(settings.keyring)
    store = archive_to_read(settings)
    connection = KafkaConnection.from_settings(settings)
    try:
        if not job.same_log:
            await _run(job, channel, store, ring, None, states, report)
            return
        topic, partition = job.stream.topic, job.partition
        async with open_raw_log(connection, topic, partition, FOLDER) as log:
            await _run(job, channel, store, ring, log, states, report)
    except AuditError as error:
        report.error = f"{error.code}: {error}"
    finally:
        await store.close()


async def _run(
    job: CompareJob, channel: Channel, store: WormStore, ring: LoadedKeyring,
    source: RawSource | None, states: States, report: PartitionReport,
) -> None:  # fmt: skip
    settings, options, stream = job.settings, job.options, job.stream
    chain = Chain(store, ring.trusted, stream, job.partition, whole=False)
    rules = Rules(
        regulatory_tag=settings.regulatory_tag(raw_topic(settings, stream.topic)),
        placeholders=settings.placeholder_ids, raw_key=raw_key(ring.keyring.index_key),
    )  # fmt: skip
    keys = StreamKeys(ring.keyring, cover_opener(settings), stream.stream)
    resumed = await resume(chain, states, job.of)
    if resumed is None:
        if options.resume:
            states.clear()
        link, report.tally = chain.genesis, Tally(of=job.of)
    else:
        link, report.tally = resumed
        report.resumed_at = link.next
    comparison = Comparison(
        chain, source, states, Rejudge(stream, job.partition, rules, keys, states.get), rules,
        Maps(store), options.wanted, report.tally, told=channel.told,
        spend=channel.throttle(options.rate).spend, keep_going=options.keep_going,
        dry_run=options.dry_run,
    )  # fmt: skip
    await comparison.run(link)
    report.complete = True

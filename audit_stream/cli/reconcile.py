"""`audit-stream reconcile`: is anything missing? The broker's offsets against the archive's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from audit_stream.archive.coverage import Coverage, PartitionCoverage
from audit_stream.cli.options import Config, Json
from audit_stream.cli.output import Output
from audit_stream.errors import BrokerError, ConfigError, StoreError
from audit_stream.evidence.ledger import MEANING
from audit_stream.kafka.losses import Losses
from audit_stream.settings import Settings
from audit_stream.verify.report import Verdict

_POLL_SECONDS = 0.5
Place = tuple[str, int]  # topic, partition


@dataclass(frozen=True, slots=True)
class Copying:
    """What of rekeyed topics did not reach their twins."""

    to_come: int = 0  # offsets not copied yet
    lost: Mapping[Place, Losses] = field(default_factory=dict)  # by (topic, partition)


async def cover(
    settings: Settings, wait: float, told: Callable[[Coverage], None] = lambda _: None
) -> tuple[Coverage, Copying]:
    """The archive's coverage, and what of rekeyed topics was not copied.

    With `wait`, reads until nothing is to come or the time is over.
    """
    from audit_stream.app.places import archive_to_read
    from audit_stream.app.topics import archived_topics
    from audit_stream.kafka.ask import topic_ends
    from audit_stream.kafka.connect import KafkaConnection
    from audit_stream.keys.file import load_closed

    connection = KafkaConnection.from_settings(settings)
    keys = load_closed(settings.keyring).trusted
    store = archive_to_read(settings)
    coverage = Coverage(store, keys)
    topics = list(archived_topics(settings).values())
    deadline = time.monotonic() + wait
    try:
        while True:
            await coverage.update(await topic_ends(connection, topics))
            told(coverage)
            copying = await _copying(settings, connection)
            if (coverage.to_come + copying.to_come) == 0 or time.monotonic() >= deadline:
                break
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        await store.close()
    return coverage, copying


async def _copying(settings: Settings, connection: Any) -> Copying:
    from audit_stream.app.copied import copied

    found = await copied(connection, settings.app_id, settings.rekey_topics)
    lost = {place: each.losses for place, each in found.items() if each.losses is not None}
    return Copying(sum(each.to_come for each in found.values()), lost)


async def _faults(settings: Settings, coverage: Coverage) -> list[str]:
    """What is wrong with the topics: then their offsets are not the newest generation's."""
    from audit_stream.app.checks import topic_faults
    from audit_stream.kafka.connect import KafkaConnection

    found = await topic_faults(KafkaConnection.from_settings(settings), coverage.streams)
    return [str(error) for error in found.values()]


def document(coverage: Coverage, copying: Copying, faults: Sequence[str]) -> dict[str, Any]:
    """The answer as JSON."""
    partitions = [
        _place(p) | {"log_start": p.log_start, "end": p.end, "to_come": p.to_come} | _counts(p)
        for p in coverage.partitions.values()
    ]
    older = [
        _place(p) | {"genesis": p.log_start, "ended": p.end, "missing": p.to_come} | _counts(p)
        for p in coverage.older
    ]
    totals = coverage.totals()
    return {
        "faults": list(faults),
        "to_come": coverage.to_come, "not_copied": copying.to_come,
        "lost_before_copying": [
            {"topic": topic, "partition": partition} | asdict(losses)
            for (topic, partition), losses in sorted(copying.lost.items())
        ],
        "unexplained": coverage.unexplained, "unresolved": coverage.unresolved,
        "dispositions": {name: totals[letter] for letter, name in MEANING.items()},
        "partitions": partitions, "older_generations": older,
    }  # fmt: skip


def _place(found: PartitionCoverage) -> dict[str, Any]:
    return {
        "topic": found.topic, "generation": found.generation or None, "partition": found.partition,
        "archived_next": found.next, "unexplained": found.unexplained,
    }  # fmt: skip


def _counts(found: PartitionCoverage) -> dict[str, int]:
    return {MEANING[letter]: found.counts[letter] for letter in MEANING}


def reconcile(
    wait: Annotated[
        float, typer.Option(help="Seconds to wait until nothing is to come any more.")
    ] = 0.0,
    textfile: Annotated[
        Path | None,
        typer.Option(help="Write metrics there, for node_exporter's textfile collector (.prom)."),
    ] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Compare every offset of the broker with the archive's ledgers.

    Exit 0 only when nothing is to come, nothing is unexplained, nothing of a rekeyed topic was lost
    before it was copied, and the topics are those that were archived. 3: cannot judge, as the
    broker or the archive cannot be read.
    """
    settings = Settings.load(config)
    out = Output(as_json)
    try:
        coverage, copying, faults = asyncio.run(_compare(settings, wait))
    except (BrokerError, StoreError) as error:
        out.note(f"{error.code}: {error}")
        raise typer.Exit(Verdict.CANNOT_JUDGE.value) from error
    out.document(document(coverage, copying, faults))
    show_coverage(out, coverage)
    for fault in faults:
        out.say(f"WRONG {fault}")
    for (topic, partition), losses in sorted(copying.lost.items()):
        out.say(f"LOST {topic}/{partition}: retention deleted {losses.count} offsets between "
                f"{losses.first} and {losses.next} before they were copied")  # fmt: skip
    if textfile is not None:
        write_metrics(coverage, textfile, proven=not faults)
    out.say(
        f"still to come: {coverage.to_come}   not copied: {copying.to_come}   unexplained: "
        f"{coverage.unexplained}   quarantined: {coverage.totals()['q']} "
        f"(unresolved {coverage.unresolved})"
    )
    unproven = coverage.to_come or coverage.unexplained or faults
    if unproven or copying.to_come or copying.lost:
        raise typer.Exit(1)


async def _compare(settings: Settings, wait: float) -> tuple[Coverage, Copying, list[str]]:
    coverage, copying = await cover(settings, wait)
    return coverage, copying, await _faults(settings, coverage)


def write_metrics(coverage: Coverage, path: Path, *, proven: bool) -> None:
    """The answer as metrics. Without a time where the topics are not those that were archived: then
    it is no proof, and the alert for one that is missing tells. `ConfigError` when the file cannot
    be written."""
    from audit_stream.telemetry.metrics import Reconciled

    metrics = Reconciled()
    for found in coverage.partitions.values():
        topic = found.topic
        metrics.unexplained_offsets.labels(topic).inc(found.unexplained)
        metrics.unarchived_offsets.labels(topic).inc(found.to_come)
        metrics.unresolved_offsets.labels(topic)
        for letter, name in MEANING.items():
            metrics.offsets.labels(topic, name).inc(found.counts[letter])
    for found in coverage.older:  # of them nothing is still to come
        missing = found.unexplained + found.to_come
        metrics.unexplained_offsets.labels(found.topic).inc(missing)
    for topic, unresolved in coverage.unresolved_by_topic.items():
        metrics.unresolved_offsets.labels(topic).set(unresolved)
    if proven:
        metrics.timestamp_seconds.set_to_current_time()
    try:
        metrics.write(path)
    except OSError as error:
        raise ConfigError(
            f"--textfile {path}: cannot write: {error.strerror}",
            hint="name a file ending in .prom in node_exporter's textfile folder",
        ) from None


def show_coverage(out: Output, coverage: Coverage) -> None:
    """The table by partition."""
    rows = [
        (p.topic, p.partition, p.next, p.to_come, p.unexplained, *(p.counts[x] for x in MEANING))
        for p in coverage.partitions.values()
    ]
    columns = ["topic", "partition", "archived to", "to come", "unexplained", *MEANING.values()]
    out.table("Offsets by disposition", columns, rows)
    if coverage.older:
        show_older(out, coverage.older)


def show_older(out: Output, older: Sequence[PartitionCoverage]) -> None:
    """What the generations covered that were ended."""
    rows = [
        (p.topic, p.generation, p.partition, p.log_start, p.next, p.to_come + p.unexplained,
         *(p.counts[letter] for letter in MEANING))
        for p in older
    ]  # fmt: skip
    columns = ["topic", "generation", "partition", "from", "to", "unexplained", *MEANING.values()]
    out.table("Older generations", columns, rows)

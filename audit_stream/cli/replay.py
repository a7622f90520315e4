"""`audit-stream replay --compare`: does the raw log still give what the archive says?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit_stream.cli.jobs import job_progress
from audit_stream.cli.options import Config, Json, Processes, Rate
from audit_stream.cli.output import Output
from audit_stream.errors import BrokerError, ConfigError, StoreError
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from audit_stream.replay.report import PartitionReport

_CANNOT_JUDGE = 3
_COLUMNS = (
    "topic", "generation", "partition", "offsets", "compared", "not comparable", "records",
    "erased", "segments", "differing", "state from", "verdict",
)  # fmt: skip


def replay(
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare with the archive; the one use there is.")
    ] = False,
    topic: Annotated[
        list[str] | None, typer.Option(help="Only this raw topic; repeatable.")
    ] = None,
    partition: Annotated[
        list[int] | None, typer.Option(min=0, help="Only this partition; repeatable.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="First segment: the one with this offset, or of this time."),
    ] = None,
    stop: Annotated[
        str | None, typer.Option("--to", help="Segments below this offset, or before this time.")
    ] = None,
    rate: Rate = None,
    processes: Processes = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped, if it is the same.")
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Name every differing segment, not the first.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be compared; judge nothing.")
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Derive every archived segment again from the raw topics and compare, byte for byte.

    Writes nothing to the archive, joins no consumer group. Stop it with SIGINT or SIGTERM.

    Exit 0: equal. 1: something differs. 2: wrong use. 3: cannot judge all of it: the raw log or a
    status map is gone, the broker or the archive cannot be read, or it was stopped.
    """
    if not compare:
        raise ConfigError("replay writes nothing and has one use", hint="say: replay --compare")
    from audit_stream.app.parallel import default_processes
    from audit_stream.app.replay import CompareOptions
    from audit_stream.app.replay import compare as run
    from audit_stream.archive.range import Range, parse_bound

    settings = Settings.load(config)
    options = CompareOptions(
        topics=topic, partitions=partition, rate=rate, resume=resume, keep_going=keep_going,
        dry_run=dry_run,
        wanted=Range(
            start=None if start is None else parse_bound(start, "--from"),
            stop=None if stop is None else parse_bound(stop, "--to"),
        ),
    )  # fmt: skip
    out = Output(as_json)
    began = time.monotonic()
    try:
        with job_progress(out, "comparing") as told:
            reports = run(settings, options, processes=processes or default_processes(), told=told)
    except (BrokerError, StoreError) as error:
        out.note(f"{error.code}: {error}")
        raise typer.Exit(_CANNOT_JUDGE) from error
    raise typer.Exit(_say(out, reports, time.monotonic() - began, dry_run))


def _say(
    out: Output, reports: Sequence[PartitionReport], seconds: float, dry_run: bool
) -> int:  # fmt: skip
    from audit_stream.replay.report import verdict_of

    verdict = verdict_of(reports)
    out.document(_document(reports, seconds, dry_run))
    out.table("Compared with the raw topics", _COLUMNS, [_row(report) for report in reports])
    for report in reports:
        _say_more(out, report)
    events = sum(report.tally.events for report in reports)
    total = sum(report.tally.compared for report in reports)
    word = "DRY RUN" if dry_run else verdict.name.replace("_", " ")
    out.say(
        f"{word}: {total:,} offsets of {len(reports)} partitions, {seconds:.1f} s "
        f"({events / max(seconds, 1e-3):,.0f} events/s)"
    )
    return 0 if dry_run else verdict.value


def _row(report: PartitionReport) -> Sequence[object]:
    tally = report.tally
    return (
        report.topic, report.generation, report.partition, tally.in_range, tally.compared,
        tally.missed, tally.records, tally.erased, tally.segments, tally.differing,
        report.state, report.verdict.name.lower(),
    )  # fmt: skip


def _say_more(out: Output, report: PartitionReport) -> None:
    tally, place = report.tally, f"{report.topic}/{report.generation}/{report.partition}"
    for difference in tally.differences:
        out.say(f"DIFFERS {difference}")
    if tally.differing > len(tally.differences):
        out.say(f"DIFFERS {place}: … {tally.differing:,} segments in all")
    for reason, offsets in tally.not_comparable.items():
        out.say(f"not comparable {place}: {offsets:,} offsets: {reason}")
    if tally.only_archived_erased:
        out.say(
            f"note {place}: {tally.only_archived_erased:,} records are erased in the archive, and "
            "the keyring has the persons' keys"
        )
    if report.resumed_at is not None:
        out.say(f"note {place}: gone on with at offset {report.resumed_at}")
    if report.error is not None:
        out.say(f"STOPPED {place}: {report.error}")
    elif not report.complete:
        out.say(f"STOPPED {place}: go on with --resume")


def _document(
    reports: Sequence[PartitionReport], seconds: float, dry_run: bool
) -> dict[str, Any]:  # fmt: skip
    from audit_stream.replay.report import verdict_of

    return {
        "verdict": verdict_of(reports).name.lower(),
        "dry_run": dry_run,
        "seconds": round(seconds, 3),
        "events": sum(report.tally.events for report in reports),
        "partitions": [
            {
                "topic": report.topic, "generation": report.generation,
                "partition": report.partition, "verdict": report.verdict.name.lower(),
                "state_from": report.state, "complete": report.complete,
                "resumed_at": report.resumed_at, "error": report.error,
                "seconds": round(report.seconds, 3),
                **{k: v for k, v in asdict(report.tally).items() if k != "of"},
            }
            for report in reports
        ],
    }  # fmt: skip

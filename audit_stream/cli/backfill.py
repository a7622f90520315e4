"""`audit-stream backfill`: a fresh archive from the topics' history, beside the live fleet."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit_stream.cli.jobs import job_progress
from audit_stream.cli.options import Config, Json, Processes, Rate
from audit_stream.cli.output import Output
from audit_stream.errors import ConfigError
from audit_stream.evidence.ledger import MEANING
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from audit_stream.replay.backfill import BackfillReport

_EARLIEST = "earliest"
_PLACE = ("topic", "generation", "partition")


def backfill(
    into: Annotated[
        str, typer.Option(help="URL of the archive to fill, as file:///… or azure://….")
    ],
    start: Annotated[
        str,
        typer.Option(
            "--from", help="earliest, or a Kafka time. Where the archive begins, for good."
        ),
    ] = _EARLIEST,
    subjects_into: Annotated[
        str | None,
        typer.Option(help="URL of its subject objects.", show_default="its URL and -subjects"),
    ] = None,
    until_caught_up: Annotated[
        bool,
        typer.Option("--until-caught-up", help="Go on until nothing is behind it any more."),
    ] = False,
    rate: Rate = None,
    processes: Processes = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; make nothing.")
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Archive the raw topics' history into another archive while the fleet goes on.

    Stream ids are copied from the live archive, so that the record lines are the same. Goes on
    where the target's own segments end, whatever ended the run before: give the same --into.

    Exit 0: done. 1: stopped, or something is wrong. 2: wrong use, or not an archive to fill.
    """
    from audit_stream.app.backfill import BackfillOptions
    from audit_stream.app.backfill import backfill as run
    from audit_stream.app.parallel import default_processes
    from audit_stream.stores.open import place_of

    place_of(into)  # a wrong URL is this option's, not the setting's
    live = Settings.load(config)
    target = Settings.load(
        config, archive=into, subjects=subjects_into or f"{into.rstrip('/')}-subjects"
    )
    options = BackfillOptions(
        since_ms=_since(start), rate=rate, until_caught_up=until_caught_up, dry_run=dry_run
    )
    out = Output(as_json)
    began = time.monotonic()
    with job_progress(out, "filling") as told:
        reports = run(live, target, options, processes=processes or default_processes(), told=told)
    if dry_run:
        _say_plan(out, reports)
        return
    raise typer.Exit(_say(out, reports, time.monotonic() - began))


def _since(text: str) -> int | None:
    from audit_stream.archive.range import parse_bound

    if text == _EARLIEST:
        return None
    bound = parse_bound(text, "--from")
    if not bound.is_time:
        raise ConfigError("--from is an offset", hint="write earliest or a time: all partitions "
                          "begin there")  # fmt: skip
    return bound.value


def _say_plan(out: Output, reports: Sequence[BackfillReport]) -> None:
    rows = [(r.topic, r.generation, r.partition, r.began, r.end, max(0, r.end - r.began))
            for r in reports]  # fmt: skip
    names = (*_PLACE, "from", "to", "offsets")
    out.document({
        "dry_run": True,
        "partitions": [dict(zip(names, row, strict=True)) for row in rows],
    })  # fmt: skip
    out.table("Would be filled", names, rows)
    out.say(f"DRY RUN: {sum(row[-1] for row in rows):,} offsets, at most as many raw records")


def _say(out: Output, reports: Sequence[BackfillReport], seconds: float) -> int:
    complete = all(report.complete for report in reports)
    out.document(_document(reports, complete, seconds))
    rows = [
        (r.topic, r.generation, r.partition, r.began, r.next, r.end, r.segments,
         *(r.dispositions[letter] for letter in MEANING))
        for r in reports
    ]  # fmt: skip
    out.table("Filled by this run", (*_PLACE, "from", "to", "end", "segments", *MEANING.values()),
              rows)  # fmt: skip
    for report in reports:
        place = f"{report.topic}/{report.generation}/{report.partition}"
        if report.error is not None:
            out.say(f"STOPPED {place}: {report.error}")
        elif not report.complete:
            out.say(f"STOPPED {place} at offset {report.next}: run the same command again")
    events = sum(report.events for report in reports)
    out.say(f"{'DONE' if complete else 'NOT DONE'}: {events:,} offsets, {seconds:.1f} s "
            f"({events / max(seconds, 1e-3):,.0f} events/s)")  # fmt: skip
    return 0 if complete else 1


def _document(
    reports: Sequence[BackfillReport], complete: bool, seconds: float
) -> dict[str, Any]:  # fmt: skip
    return {
        "complete": complete,
        "seconds": round(seconds, 3),
        "partitions": [
            {
                "topic": r.topic, "generation": r.generation, "partition": r.partition,
                "genesis": r.genesis, "from": r.began, "next": r.next, "end": r.end,
                "segments": r.segments, "complete": r.complete, "error": r.error,
                "seconds": round(r.seconds, 3),
                "dispositions": {name: r.dispositions[x] for x, name in MEANING.items()},
            }
            for r in reports
        ],
    }  # fmt: skip

"""`audit-stream import`: put files of JSON lines into the raw topics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from audit_stream.settings import Settings

if TYPE_CHECKING:
    from audit_stream.kafka import importer

_PLAIN_SECONDS = 5.0  # between two lines of progress where there is no terminal
_REFUSED_SHOWN = 10


def import_files(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE…", help="JSON lines: plain, .gz or .zst; - is standard input."
        ),
    ],
    topic: Annotated[
        str | None,
        typer.Option(
            help="Raw topic of every line. Else the file's name says it (TOPIC.jsonl[.gz|.zst]), "
            "else each event's own type."
        ),
    ] = None,
    broker: Annotated[
        str | None, typer.Option(help="Bootstrap servers, as kafka://host:port.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Put events into the raw topics, byte for byte, keyed by their message id.

    A line that is not a JSON object, or has no message id, goes in as it is, without a key. A
    file TOPIC.keys.json beside TOPIC.jsonl names other keys by line number. Importing a file
    again does no harm: duplicates are counted and archived once.
    """
    from audit_stream.kafka import importer
    from audit_stream.kafka.connect import KafkaConnection
    from audit_stream.kafka.lines import find_file

    settings = Settings.load(config, broker=broker)
    sources = [find_file(name) for name in files]
    with _progress(Console(stderr=True), quiet=as_json) as report:
        done = asyncio.run(
            importer.import_files(
                KafkaConnection.from_settings(settings),
                sources,
                raw_topics=settings.topics,
                topic=topic,
                progress=report,
            )
        )
    _print_json(done) if as_json else _print_plain(done)
    if done.refused:
        raise typer.Exit(1)


def _print_json(done: importer.Imported) -> None:
    document = {
        "sent": dict(done.sent),
        "total": done.total,
        "without_key": done.without_key,
        "bytes": done.sent_bytes,
        "seconds": round(done.seconds, 3),
        "refused": [{"file": r.file, "line": r.line, "reason": r.reason} for r in done.refused],
    }
    typer.echo(orjson.dumps(document).decode())


def _print_plain(done: importer.Imported) -> None:
    for name, count in done.sent.items():
        typer.echo(f"{name}: {count:,} records")
    rate = done.total / done.seconds if done.seconds else 0.0
    typer.echo(
        f"{done.total:,} records in {done.seconds:.1f} s ({rate:,.0f}/s), "
        f"{done.without_key:,} without a key"
    )
    for one in done.refused[:_REFUSED_SHOWN]:
        typer.echo(f"not sent: {one.file} line {one.line}: {one.reason}", err=True)
    if len(done.refused) > _REFUSED_SHOWN:
        typer.echo(f"not sent: {len(done.refused):,} lines in all", err=True)


@contextmanager
def _progress(console: Console, *, quiet: bool) -> Iterator[Callable[[importer.Progress], None]]:
    if quiet:
        yield lambda _: None
    elif console.is_terminal:
        with _bar(console) as bar:
            task = bar.add_task("import", total=None, lines=0, rate=0.0)
            yield _on_bar(bar, task)
    else:
        yield _as_lines()


def _bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[lines]:,} records  {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
        console=console,
    )


def _on_bar(bar: Progress, task: object) -> Callable[[importer.Progress], None]:
    began = time.monotonic()

    def show(now: importer.Progress) -> None:
        rate = now.lines / max(time.monotonic() - began, 1e-9)
        bar.update(
            task,  # type: ignore[arg-type]  # a NewType of rich
            description=now.file,
            total=now.total_bytes,
            completed=now.read_bytes,
            lines=now.lines,
            rate=rate,
        )

    return show


def _as_lines() -> Callable[[importer.Progress], None]:
    began = last = time.monotonic()

    def show(now: importer.Progress) -> None:
        nonlocal last
        if time.monotonic() - last < _PLAIN_SECONDS:
            return
        last = time.monotonic()
        share = f" ({now.read_bytes / now.total_bytes:.0%})" if now.total_bytes else ""
        rate = now.lines / (last - began)
        typer.echo(f"{now.file}: {now.lines:,} records{share}, {rate:,.0f}/s", err=True)

    return show

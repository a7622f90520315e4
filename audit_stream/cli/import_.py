"""`audit-stream import`: put files of JSON lines into the raw topics."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from audit_stream.cli.options import Config
from audit_stream.errors import BrokerError, ConfigError
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from audit_stream.kafka import importer
    from audit_stream.kafka.importer import Options
    from audit_stream.kafka.lines import LineFile
    from audit_stream.kafka.refused import Refused

_PLAIN_SECONDS = 5.0  # between two lines of progress where there is no terminal
_REFUSED_SHOWN = 10
_STOP_SECONDS = 20.0  # for what is in flight to be acknowledged


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
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on where an import that was cut off left each file."),
    ] = False,
    positions: Annotated[
        Path | None,
        typer.Option(help="Folder for the positions, instead of FILE.position beside each file."),
    ] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="At most so many lines a second.")] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Read everything, say what would be sent; send nothing."),
    ] = False,
    broker: Annotated[
        str | None, typer.Option(help="Bootstrap servers, as kafka://host:port.")
    ] = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Put events into the raw topics, byte for byte, keyed by their message id.

    A line that is not a JSON object, or has no message id, goes in as it is, without a key. A
    file TOPIC.keys.json beside TOPIC.jsonl names other keys by line number. Importing a file
    again does no harm: duplicates are counted and archived once.

    While it runs, how far each file is acknowledged is kept in FILE.position. SIGINT and SIGTERM
    finish what is in flight; after these or a crash, --resume goes on there and skips nothing.
    A line that no topic takes is not sent: it is said at once, and again by the run that goes on;
    the exit code is 1 then.
    """
    from audit_stream.kafka.importer import Options
    from audit_stream.kafka.lines import find_file

    settings = Settings.load(config, broker=broker)
    sources = [find_file(name) for name in files]
    options = Options(
        topic=topic, dry_run=dry_run, resume=resume, folder=positions, rate=rate,
        keep_positions=_can_keep(sources, positions, resume=resume, dry_run=dry_run),
    )  # fmt: skip
    with _progress(Console(stderr=True), quiet=as_json) as report:
        done = asyncio.run(_import(settings, sources, options, report, _as_refused()))
    _print_json(done, options) if as_json else _print_plain(done, options)
    if done.refused_lines or done.stopped:
        raise typer.Exit(1)


def _can_keep(
    sources: Sequence[LineFile], folder: Path | None, *, resume: bool, dry_run: bool
) -> bool:
    """Whether positions are kept: not of standard input, nor where there is no place for them."""
    if resume and any(source.path is None for source in sources):
        raise ConfigError("standard input cannot be resumed", hint="import it from a file")
    if dry_run:
        return False
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"--positions {folder}: cannot make the folder: {error.strerror}",
                hint="name one where this user may write",
            ) from None
        return True
    homes = {source.path.parent for source in sources if source.path is not None}
    closed = sorted(str(home) for home in homes if not os.access(home, os.W_OK))
    if closed:
        typer.echo(
            f"{closed[0]} cannot be written: no position is kept, so --resume will not go on; "
            "--positions names another folder",
            err=True,
        )
    return not closed


async def _import(
    settings: Settings, sources: Sequence[LineFile], options: Options,
    report: Callable[[importer.Progress], None], refused: Callable[[Refused], None],
) -> importer.Imported:  # fmt: skip
    """Import; a signal asks it to stop, and ends it if it does not in time."""
    from audit_stream.kafka import importer
    from audit_stream.kafka.connect import KafkaConnection

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    work = asyncio.ensure_future(
        importer.import_files(
            KafkaConnection.from_settings(settings), sources, raw_topics=settings.topics,
            options=options, progress=report, refused=refused, stop=stop,
        )
    )  # fmt: skip

    def ask() -> None:
        if stop.is_set():
            work.cancel()  # asked twice
        stop.set()
        loop.call_later(_STOP_SECONDS, work.cancel)

    if threading.current_thread() is threading.main_thread():  # elsewhere signals are not ours
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ask)
    try:
        return await work
    except asyncio.CancelledError:
        raise BrokerError(
            f"what was in flight was not acknowledged within {_STOP_SECONDS:.0f} s",
            hint="the position is kept: --resume goes on there",
        ) from None


def _print_json(done: importer.Imported, options: Options) -> None:
    document = {
        "dry_run": options.dry_run,
        "stopped": done.stopped,
        "sent": done.sent,
        "partitions": {name: list(counts) for name, counts in done.partitions.items()},
        "files": dict(done.files),
        "total": done.total,
        "without_key": done.without_key,
        "bytes": done.sent_bytes,
        "seconds": round(done.seconds, 3),
        "refused": [{"file": r.file, "line": r.line, "reason": r.reason} for r in done.refused],
        "refused_lines": done.refused_lines,
    }
    typer.echo(orjson.dumps(document).decode())


def _print_plain(done: importer.Imported, options: Options) -> None:
    from audit_stream.kafka.lines import STDIN_NAME

    for name, count in done.sent.items():
        spread = ", ".join(f"{each:,}" for each in done.partitions[name])
        typer.echo(f"{name}: {count:,} records (by partition: {spread})")
    rate = done.total / done.seconds if done.seconds else 0.0
    would = " would be sent; read" if options.dry_run else ""
    typer.echo(
        f"{done.total:,} records{would} in {done.seconds:.1f} s ({rate:,.0f}/s), "
        f"{done.without_key:,} without a key"
    )
    if done.refused_lines:
        typer.echo(f"not sent: {done.refused_lines:,} lines in all", err=True)
    if done.stopped:
        for file, line in done.files.items():
            more = "" if file == STDIN_NAME else "; --resume goes on there"
            typer.echo(f"stopped behind line {line} of {file}{more}", err=True)


def _as_refused() -> Callable[[Refused], None]:
    """Says the first at once, of this run and of those before: what comes behind may fail."""
    shown: Counter[bool] = Counter()

    def show(one: Refused) -> None:
        shown[one.earlier] += 1
        if shown[one.earlier] <= _REFUSED_SHOWN:
            by = " by an earlier run" if one.earlier else ""
            typer.echo(f"not sent{by}: {one.file} line {one.line}: {one.reason}", err=True)

    return show


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

"""`audit-stream index`: the gateway's index, made from the archive alone; how far it is."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress

from audit_stream.cli.options import Config, Json
from audit_stream.cli.output import Output
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from audit_stream.index.database import ArchiveIndex
    from audit_stream.index.rows import Indexed
    from audit_stream.index.tail import Archive, Tail, Taken, Told
    from audit_stream.keys.file import LoadedKeyring

app = typer.Typer(help="The gateway's index: made from the archive alone.", no_args_is_help=True)
_FOUND, _CANNOT_JUDGE = 1, 3
_COLUMNS = ("topic", "generation", "partition", "next", "segments", "records")
_PLAIN_SECONDS = 10.0  # between two lines of progress where there is no terminal


@app.command()
def rebuild(
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Throw away what is there and begin anew.")
    ] = False,
    without_subjects: Annotated[
        bool,
        typer.Option(
            "--without-subjects", help="Do not look for subject objects: no way from a customer."
        ),
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Index what the archive holds and the index does not, and check its persons' rows.

    Goes on where it was, whatever ended it. The gateway does the same while it runs: stop it first.

    Exit 0: done. 1: a partition does not fit its chain and was left out, or a store cannot be read.
    2: the index is in use, or another archive's. 3: what was left out is a newer release's.
    """
    from audit_stream.index.files import discard

    settings, out = Settings.load(config), Output(as_json)
    if fresh:
        discard(settings.index_dir)
    taken = asyncio.run(_rebuild(settings, out, with_subjects=not without_subjects))
    if taken.stopped:
        raise typer.Exit(_CANNOT_JUDGE if taken.stopped == taken.unknown else _FOUND)


@app.command()
def status(as_json: Json = False, config: Config = None) -> None:
    """Say how far the index is, beside a gateway that runs, too.

    Exit 2: there is none, or it is another archive's.
    """
    from audit_stream.app.checks import load_archive_keyring

    settings, out = Settings.load(config), Output(as_json)
    index = _open(settings, load_archive_keyring(settings, closed=True), read_only=True)
    try:
        _say(out, index, {})
    finally:
        index.close()


def _open(settings: Settings, ring: LoadedKeyring, *, read_only: bool = False) -> ArchiveIndex:
    from audit_stream.index.database import ArchiveIndex

    return ArchiveIndex.open(
        settings.index_dir, ring.keyring.archive, ring.keyring.index_key, read_only=read_only
    )


async def _rebuild(settings: Settings, out: Output, *, with_subjects: bool) -> Taken:
    from audit_stream.app import interpreter
    from audit_stream.app.checks import load_archive_keyring
    from audit_stream.app.places import archive_to_read, subject_store
    from audit_stream.index.tail import Archive

    interpreter.tune_for_reading()
    ring = load_archive_keyring(settings, closed=True)
    store = archive_to_read(settings)
    subjects = subject_store(settings) if with_subjects else None
    index = _open(settings, ring)
    try:
        return await _index(Archive(store, subjects, ring.trusted, ring.keyring), index, out)
    finally:
        index.close()
        await store.close()
        if subjects is not None:
            await subjects.close()


async def _index(archive: Archive, index: ArchiveIndex, out: Output) -> Taken:
    from audit_stream.index.sweep import Swept, sweep
    from audit_stream.index.tail import Tail
    from audit_stream.telemetry.alerts import AlarmBoard

    began, before = time.monotonic(), bool(index.places())
    tail = Tail(archive, index, AlarmBoard("index"))
    with out.progress() as progress:
        told = _lines(out) if progress.disable else await _bar(tail, progress)
        taken = await tail.catch_up(told=told)
    swept = await sweep(archive, index) if before else Swept()  # the rows of this run are fresh
    seconds = time.monotonic() - began
    _say(out, index, {
        "indexed": {"segments": taken.segments, "records": taken.records},
        "persons": {"removed": swept.removed, "added": swept.added},
        "stopped": taken.stopped, "seconds": round(seconds, 3),
    })  # fmt: skip
    for place in taken.stopped:
        why = "does not fit its chain, run audit-stream verify"
        newer = "is of a newer release, whose index it takes"
        out.say(f"STOPPED {place}: it {newer if place in taken.unknown else why}")
    rate = taken.records / max(seconds, 1e-3)
    out.say(f"{'NOT DONE' if taken.stopped else 'DONE'}: {taken.records:,} records in "
            f"{seconds:.1f} s ({rate:,.0f} records/s)")  # fmt: skip
    return taken


async def _bar(tail: Tail, progress: Progress) -> Told:
    """One bar over the offsets of all partitions."""
    ends = await tail.ends()
    now = {str(indexed): indexed for indexed, _ in ends}
    total = sum(end - indexed.link.next for indexed, end in ends)
    task = progress.add_task("indexing", total=total, rate="")
    began, records, left = time.monotonic(), 0, total

    def told(after: Indexed) -> None:
        nonlocal records, left
        before = now.get(str(after), after)
        now[str(after)] = after
        records += after.records - before.records
        left -= after.link.next - before.link.next
        rate = records / max(time.monotonic() - began, 1e-3)
        progress.update(task, completed=total - left, rate=f"{rate:,.0f} records/s")

    return told


def _lines(out: Output) -> Told:
    last = time.monotonic()

    def told(after: Indexed) -> None:
        nonlocal last
        if time.monotonic() - last >= _PLAIN_SECONDS:
            last = time.monotonic()
            out.note(f"indexing {after}: at offset {after.link.next:,}")

    return told


def _say(out: Output, index: ArchiveIndex, more: dict[str, Any]) -> None:
    """How far the index is."""
    from audit_stream.index.rows import NO_TAGS

    rows = [
        (each.topic, each.generation, each.partition, each.link.next, each.link.seq, each.records)
        for each in index.places().values()
    ]  # fmt: skip
    untagged = [row.count for row in index.segments() if row.tags == NO_TAGS and row.count]
    without = {"segments": len(untagged), "records": sum(untagged)}
    rows.sort()
    out.document({
        "records": sum(row[-1] for row in rows),
        "partitions": [dict(zip(_COLUMNS, row, strict=True)) for row in rows],
        "without_subject_object": without, **more,
    })  # fmt: skip
    out.table("Indexed", _COLUMNS, rows)
    if untagged:
        out.say(
            f"{without['segments']:,} segments ({without['records']:,} records) have no subject "
            "object: no customer leads there, and their fields need the customer's id"
        )

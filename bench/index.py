"""``python -m bench.index``: how fast the gateway's index is made from an archive.

An archive is generated without Kafka, then indexed into an empty folder by one process, some times
over. Wall time, and the processor time of all its threads: what one core would take.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from audit_stream.index.database import ArchiveIndex
from audit_stream.index.tail import Archive, Tail
from audit_stream.telemetry.alerts import AlarmBoard
from bench.archive import KEYRING, NAME, TRUSTED, BenchArchive

_EVENTS, _REPEAT = 900_000, 3


class Round(NamedTuple):
    """One rebuild."""

    records: int
    seconds: float
    cpu_seconds: float
    size_bytes: int


def rebuild(archive: BenchArchive, folder: Path) -> Round:
    """Index the whole archive into `folder`, made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    index = ArchiveIndex.open(folder, NAME, KEYRING.index_key)
    tail = Tail(Archive(archive.store, archive.subjects, TRUSTED, KEYRING), index, AlarmBoard(NAME))
    began, used = time.perf_counter(), _cpu_seconds()
    taken = asyncio.run(tail.catch_up())
    index.close()
    seconds, cpu_seconds = time.perf_counter() - began, _cpu_seconds() - used
    size = sum(path.stat().st_size for path in folder.iterdir())
    return Round(taken.records, seconds, cpu_seconds, size)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def table(rounds: Sequence[Round]) -> str:
    """Medians, as Markdown."""
    records = rounds[0].records
    seconds = statistics.median(each.seconds for each in rounds)
    cpu = statistics.median(each.cpu_seconds for each in rounds)
    size = statistics.median(each.size_bytes for each in rounds)
    return "\n".join((
        "| records | records/s | records/s a core | bytes a record on disk |", "|---|---|---|---|",
        f"| {records:,} | {records / seconds:,.0f} | {records / cpu:,.0f} | {size / records:.0f} |",
    ))  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.index", description=__doc__)
    parser.add_argument("--events", type=int, default=_EVENTS, help="raw events to archive")
    parser.add_argument("--repeat", type=int, default=_REPEAT, help="rebuilds")
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="audit-bench-"))
    try:
        archive = BenchArchive(folder=folder)
        archive.make(options.events)
        rounds = [rebuild(archive, folder / "index") for _ in range(options.repeat)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    Console().print(table(rounds), markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())

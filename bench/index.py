"""``python -m bench.index``: how fast the gateway's index is made, and a message looked up.

An archive is generated without Kafka, then indexed into an empty folder by one process, some times
over: wall time, and the processor time of all its threads, which is what one core would take. Then
messages are looked up one after another, in no order: with nothing kept of the segments read
before, and with all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson
from rich.console import Console

from audit_stream.evidence.segment import decode
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.lookup import Lookup
from audit_stream.index.tail import Archive, Tail
from audit_stream.telemetry.alerts import AlarmBoard
from bench.archive import COVER, KEYRING, NAME, TRUSTED, BenchArchive
from bench.processes import RunFailed

_EVENTS, _REPEAT, _LOOKUPS = 900_000, 3, 500
_ALL_BYTES = 8 << 30


class Round(NamedTuple):
    """One rebuild."""

    records: int
    seconds: float
    cpu_seconds: float
    size_bytes: int


async def rebuild(archive: BenchArchive, folder: Path) -> Round:
    """Index the whole archive into `folder`, made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    index = ArchiveIndex.open(folder, NAME, KEYRING.index_key)
    tail = Tail(_sources(archive), index, AlarmBoard(NAME))
    began, used = time.perf_counter(), _cpu_seconds()
    taken = await tail.catch_up()
    index.close()
    seconds, cpu_seconds = time.perf_counter() - began, _cpu_seconds() - used
    return Round(taken.records, seconds, cpu_seconds, _size(folder))


async def look_up(archive: BenchArchive, folder: Path, cache_bytes: int, count: int) -> list[float]:
    """Seconds of each look-up of `count` records' messages, the second time round."""
    index = ArchiveIndex.open(folder, NAME, KEYRING.index_key)
    lookup = Lookup(index, _sources(archive), lambda _: COVER, cache_bytes=cache_bytes)
    messages = random.Random(1).sample(list(messages_of(archive)), count)  # noqa: S311 - a sample
    for _ in range(2):
        seconds = []
        for tenant, message in messages:
            began = time.perf_counter()
            if not await lookup.by_message(tenant, message):
                raise RunFailed("a message is not found")
            seconds.append(time.perf_counter() - began)
    index.close()
    return seconds


def messages_of(archive: BenchArchive) -> Iterator[tuple[str, str]]:
    """(tenant, message id) of every record."""
    store = archive.store
    for name in store.walk_sync("segments/"):
        for line in decode(store.get_sync(name) or b"", name).record_lines():
            pub = orjson.loads(line)["pub"]
            yield pub["platform_tenant_id"], pub["message_uuid"]


def _sources(archive: BenchArchive) -> Archive:
    return Archive(archive.store, archive.subjects, TRUSTED, KEYRING)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


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


def timings(named: Mapping[str, Sequence[float]]) -> str:
    """Median and 99th percentile in ms, as Markdown."""
    lines = ["| look-up | median ms | p99 ms |", "|---|---|---|"]
    for name, seconds in named.items():
        ranked = sorted(each * 1000 for each in seconds)
        high = ranked[int(len(ranked) * 0.99)]
        lines.append(f"| {name} | {statistics.median(ranked):.1f} | {high:.1f} |")
    return "\n".join(lines)


async def _run(options: argparse.Namespace, folder: Path) -> str:
    archive = BenchArchive(folder=folder, segment_records=options.segment_records)
    records = archive.make(options.events)
    rounds = [await rebuild(archive, folder / "index") for _ in range(options.repeat)]
    count = min(_LOOKUPS, records)
    named = {
        f"segments of {options.segment_records:,}, {what}": await look_up(
            archive, folder / "index", cache_bytes, count
        )
        for what, cache_bytes in (("none kept", 0), ("all kept", _ALL_BYTES))
    }
    return f"{table(rounds)}\n\n{timings(named)}"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.index", description=__doc__)
    parser.add_argument("--events", type=int, default=_EVENTS, help="raw events to archive")
    parser.add_argument("--segment-records", type=int, default=10_000, help="records a segment")
    parser.add_argument("--repeat", type=int, default=_REPEAT, help="rebuilds")
    folder = Path(tempfile.mkdtemp(prefix="audit-bench-"))
    try:
        text = asyncio.run(_run(parser.parse_args(argv), folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    Console().print(text, markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())

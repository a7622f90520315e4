"""``python -m bench.erasing``: finding persons' records and zeroing their tags, in file stores.

Subject objects of random tags are scanned for a thousand subjects, some of whom are in none and
some in every object, and then zeroed. Then an archive is generated, all its subjects are looked for
and their records read: what a person costs who is in every record. Times are the processor's, of
all threads, which is what one core would take; of a rewrite also the wall's: the disk's syncs.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from rich.console import Console

from audit_stream.erasure.found import facts_of, sightings, tenants_of
from audit_stream.erasure.scan import Hit, Looked, Unreadable, scan
from audit_stream.erasure.segments import Segments
from audit_stream.erasure.zero import zero
from audit_stream.evidence.layout import SegmentName, subject_name
from audit_stream.ports import SubjectStore
from audit_stream.privacy.named_object import NONCE_BYTES
from audit_stream.privacy.subject_object import open_tags, seal_tags
from audit_stream.stores.subjects import FileSubjectStore
from audit_stream.telemetry.alerts import AlarmBoard
from bench.archive import KEYRING, NAME, TOPIC, TRUSTED, BenchArchive
from bench.processes import RunFailed

_OBJECTS, _TAGS, _EVENTS, _WANTED = 200, 10_000, 900_000, 1_000
_TAG_BYTES = 16
_MILLION = 1_000_000


class Measured(NamedTuple):
    """One row of the table."""

    what: str
    value: float
    unit: str


async def measure_objects(folder: Path, objects: int, tags: int) -> list[Measured]:
    """Scans of generated objects, and zeroing what is in each of them."""
    subjects, random = FileSubjectStore(folder), Random(1)  # noqa: S311 - a workload
    wanted = [random.randbytes(_TAG_BYTES) for _ in range(_WANTED)]
    for number in range(objects):
        made = [random.randbytes(_TAG_BYTES) for _ in range(tags)]
        made[:: max(1, tags // 100)] = wanted[: len(made[:: max(1, tags // 100)])]
        _create(subjects, number, b"".join(made))
    strangers = [random.randbytes(_TAG_BYTES) for _ in range(_WANTED)]
    looked = Looked()
    began = time.process_time()
    if [each async for each in _hits(subjects, strangers, looked)]:
        raise RunFailed("a stranger was found")
    nobody = time.process_time() - began
    began = time.process_time()
    found = [each async for each in _hits(subjects, wanted, looked)]
    everywhere = time.process_time() - began
    began, started = time.process_time(), time.perf_counter()
    for hit in found:
        await zero(subjects, KEYRING.index_key, hit, wanted, secrets.token_bytes)
    zeroing, syncing = time.process_time() - began, time.perf_counter() - started
    if len(found) != objects or [each async for each in _hits(subjects, wanted, looked)]:
        raise RunFailed("not everything was found or zeroed")
    size = objects * tags / _MILLION
    return [
        Measured(f"scan for {_WANTED:,} who are nowhere", nobody / size, "s a million tags"),
        Measured(f"scan for {_WANTED:,}, 1% of all tags", everywhere / size, "s a million tags"),
        Measured(f"zero 1% of {tags:,} tags", zeroing / objects * 1000, "ms an object"),
        Measured("the same with the disk's syncs", syncing / objects * 1000, "ms an object"),
    ]


def _create(subjects: FileSubjectStore, number: int, joined: bytes) -> None:
    name = subject_name(SegmentName(TOPIC, 1, 0, number), secrets.token_bytes(32))
    nonce = secrets.token_bytes(NONCE_BYTES)
    subjects.create_sync(name, seal_tags(KEYRING.index_key, name, joined, nonce))


async def _hits(
    subjects: SubjectStore, wanted: Sequence[bytes], looked: Looked
) -> AsyncIterator[Hit]:  # fmt: skip
    async for each in scan(subjects, KEYRING.index_key, wanted, AlarmBoard(NAME), looked):
        if isinstance(each, Unreadable):
            raise RunFailed(each.reason)
        yield each


async def measure_facts(archive: BenchArchive, records: int) -> list[Measured]:
    """Reading every record there is, once, and asking for the tenants."""
    subjects = archive.subjects
    tags = list({tag for name in subjects.names_sync("subjects/") for tag in _tags(subjects, name)})
    segments = Segments(archive.store, TRUSTED, NAME)
    began = time.process_time()
    facts = await facts_of(sightings(segments, _hits(subjects, tags, Looked())))
    reading = time.process_time() - began
    if sum(each.records for each in facts.values()) != records:
        raise RunFailed("not every record was found")
    began = time.process_time()
    tenants = len(await tenants_of(segments))
    searching = time.process_time() - began
    size = records / _MILLION
    return [
        Measured(f"facts of {len(facts):,} in every record", reading / size, "s a million records"),
        Measured(f"the {tenants} tenants there are", searching / size, "s a million records"),
        Measured("memory at the peak, one in every record", await _peak(archive), "MB"),
    ]


def _tags(subjects: FileSubjectStore, name: str) -> list[bytes]:
    found = subjects.get_sync(name)
    return open_tags(KEYRING.index_key, name, found.data if found else b"")


async def _peak(archive: BenchArchive) -> float:
    """Python's memory while one subject's facts are read who has every record."""
    one = b"\x01" * _TAG_BYTES

    async def everywhere() -> AsyncIterator[Hit]:
        async for hit in _hits(archive.subjects, await _all(archive), Looked()):
            yield Hit(hit.name, hit.place, hit.leaf, hit.etag, hit.joined,
                      {one: list(range(hit.count))})  # fmt: skip

    tracemalloc.start()
    try:
        await facts_of(sightings(Segments(archive.store, TRUSTED, NAME), everywhere()))
        return tracemalloc.get_traced_memory()[1] / _MILLION
    finally:
        tracemalloc.stop()


async def _all(archive: BenchArchive) -> list[bytes]:
    """A tag of each object, so that each is a hit."""
    subjects = archive.subjects
    return [_tags(subjects, name)[0] for name in await subjects.names("subjects/")]


def table(rows: Sequence[Measured]) -> str:
    """As Markdown."""
    lines = ["| | |", "|---|--:|"]
    return "\n".join((*lines, *(f"| {row.what} | {row.value:.3g} {row.unit} |" for row in rows)))


async def _run(options: argparse.Namespace, folder: Path) -> str:
    rows = await measure_objects(folder / "objects", options.objects, options.tags)
    archive = BenchArchive(folder=folder, segment_records=options.tags)
    rows += await measure_facts(archive, archive.make(options.events))
    return table(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.erasing", description=__doc__)
    parser.add_argument("--objects", type=int, default=_OBJECTS, help="subject objects to scan")
    parser.add_argument("--tags", type=int, default=_TAGS, help="tags of each, records a segment")
    parser.add_argument("--events", type=int, default=_EVENTS, help="raw events to archive")
    folder = Path(tempfile.mkdtemp(prefix="audit-bench-"))
    try:
        text = asyncio.run(_run(parser.parse_args(argv), folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    Console().print(text, markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())

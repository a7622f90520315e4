"""``python -m bench.erasure``: what an erasure costs, and what a fleet costs after many.

First an archive is generated, and batches of erasures are carried out on it, without a fleet to
wait for: milliseconds a subject, by the clock. Then two workers archive the same stream under a
keyring from which nobody, 10,000 and 100,000 were erased, in alternation, on one broker.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.barrier import Barrier
from audit_stream.erasure.counting import Counting
from audit_stream.erasure.filing import new_request
from audit_stream.erasure.installation import Installation
from audit_stream.erasure.keeper import Keeper
from audit_stream.erasure.request import Found, Request
from audit_stream.erasure.requests import Requests
from audit_stream.erasure.segments import Segments
from audit_stream.evidence.register import Entry
from audit_stream.kafka.embedded import EmbeddedKafka
from audit_stream.keys.epochs import advance, destroy_strays, read_master
from audit_stream.keys.file import write_new
from audit_stream.keys.wrapping import Destruction
from audit_stream.privacy.subject_object import NO_TAG, open_tags
from audit_stream.telemetry.alerts import AlarmBoard
from bench.archive import COVER, KEYRING, NAME, TRUSTED, BenchArchive
from bench.contenders import AuditStream, Run
from bench.generate import Event, Workload
from bench.load import encode
from bench.measure import Result, in_alternation, measure

_AT = "2026-11-26T08:00:00.000Z"
_MEGABYTE = 1 << 20
_PATH_BITS = 56


class AfterErasures(AuditStream):
    """Ours, under a keyring from which so many subjects were erased."""

    def __init__(self, erased: int) -> None:
        self.erased = erased
        self.title = f"after {erased:,} erasures"

    def prepare(self, run: Run) -> None:
        """As ours; then the tree is punctured at random paths."""
        super().prepare(run)
        if self.erased:
            path = run.folder / "keys" / "keyring.json"
            drawn = random.Random(self.erased)  # noqa: S311 - a workload
            paths = [drawn.getrandbits(_PATH_BITS) for _ in range(self.erased)]
            advance(path, read_master(path), lambda _: paths)
            destroy_strays(path)


def installation(folder: Path, archive: BenchArchive) -> Installation:
    """The generated archive, with a keyring in its folder and nobody to wait for."""
    path = folder / "keys" / "keyring.json"
    path.parent.mkdir(mode=0o700)
    write_new(path.parent / KEYRING.trees[0].cover, COVER)
    write_new(path, KEYRING.encode() + b"\n")
    private = PrivateObjects(archive.subjects, KEYRING.index_key)
    counting = Counting(
        Segments(archive.store, TRUSTED, NAME), archive.subjects, private, KEYRING.index_key,
        AlarmBoard("bench"),
    )  # fmt: skip
    return Installation(
        keyring=path, views=[], store=archive.store, private=private, counting=counting,
        barrier=lambda epoch: Barrier(private, archive.store, TRUSTED, _nobody, epoch),
        holds_against=_no_holds, destroy=lambda _: Destruction("file-unlinked", _AT),
        longest_copy=_a_week, publish=_published, alarms=AlarmBoard("bench"), now=lambda: _AT,
        grace_seconds=0.0,
    )  # fmt: skip


async def _nobody() -> Sequence[str]:
    return []


async def _no_holds(_: Sequence[Request]) -> Mapping[str, Sequence[str]]:
    return {}


async def _a_week() -> timedelta:
    return timedelta(days=7)


async def _published(_: Sequence[Entry]) -> None:
    """There is no broker here."""


def all_tags(archive: BenchArchive) -> list[bytes]:
    """Everybody there is, in the order of their tags."""
    found: set[bytes] = set()
    subjects = archive.subjects
    for name in subjects.names_sync("subjects/"):
        if (stored := subjects.get_sync(name)) is not None:
            found.update(open_tags(KEYRING.index_key, name, stored.data))
    return sorted(found - {NO_TAG})


async def measure_batches(
    folder: Path, events: int, batch: int, batches: int, console: Console
) -> None:  # fmt: skip
    """Erase batches of subjects from a generated archive."""
    archive = BenchArchive(folder=folder)
    records = await asyncio.to_thread(archive.make, events)
    everybody = await asyncio.to_thread(all_tags, archive)
    random.Random(1).shuffle(everybody)  # noqa: S311 - a workload
    place = installation(folder, archive)
    console.print(f"{records:,} records of {len(everybody):,} subjects")
    times = []
    for number in range(batches):
        part = everybody[number * batch : (number + 1) * batch]
        requests = Requests(place.private)
        for at, tag in enumerate(part):
            ref = f"R-{number}-{at}"
            found = Found(records=0, tenants=(), first=None, last=None)
            await requests.file(new_request(
                ref=ref, kind="customer", basis="GDPR", tags=[tag], found=found, by="a", at=_AT,
            ))  # fmt: skip
            await requests.approve(ref, "b", _AT)
        started = time.perf_counter()
        ran = await Keeper(place).run()
        times.append((time.perf_counter() - started) / len(part) * 1000)
        console.print(f"batch {number + 1}: {len(ran.certified):,} erased, "
                      f"{times[-1]:.1f} ms a subject")  # fmt: skip
    console.print(f"median {statistics.median(times):.1f} ms a subject (goal 50)")


async def measure_one(folder: Path, events: int, console: Console) -> None:
    """Erase one subject whose records are all there are."""
    archive = BenchArchive(folder=folder)
    records = await asyncio.to_thread(archive.make, events, 1, _of_one_person)
    [tag] = await asyncio.to_thread(all_tags, archive)
    place = installation(folder, archive)
    requests = Requests(place.private)
    found = Found(records=0, tenants=(), first=None, last=None)
    await requests.file(new_request(
        ref="R-1", kind="customer", basis="GDPR", tags=[tag], found=found, by="a", at=_AT,
    ))  # fmt: skip
    await requests.approve("R-1", "b", _AT)
    started = time.perf_counter()
    [entry] = (await Keeper(place).run()).certified
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MEGABYTE
    console.print(f"one subject with {records:,} records, {entry.said['count']:,} counted: "
                  f"{seconds:.0f} s, at most {peak:,.0f} MB")  # fmt: skip


def _of_one_person(event: Event) -> Event:
    value = json.loads(event.value)
    value["tenant"]["id"], value["recipient"]["external_id"] = "one", "one"
    return event._replace(value=json.dumps(value).encode())


async def measure_ingest(
    folder: Path, events: int, erased: Sequence[int], repeat: int, console: Console
) -> None:
    """The same stream after so many erasures, in alternation."""
    load = encode(Workload(events=events, warmup=events // 10))
    contenders = [AfterErasures(each) for each in erased]
    results: dict[str, list[Result]] = {each.title: [] for each in contenders}
    number = 0
    async with EmbeddedKafka(folder / "kafka") as kafka:
        for order in in_alternation(contenders, repeat):
            for contender in order:
                number += 1
                run = Run(bootstrap=kafka.bootstrap, name=f"erasure-{number}",
                          folder=folder / f"run-{number}", tools=folder)  # fmt: skip
                results[contender.title].append(await measure(contender, load, run))
    base_speed, base_memory = _medians(results[contenders[0].title])
    for title, found in results.items():
        speed, memory = _medians(found)
        console.print(
            f"{title}: {speed:,.0f} events/s ({speed / base_speed:.3f} x), "
            f"{memory / _MEGABYTE:,.0f} MB ({memory / base_memory:.3f} x)"
        )


def _medians(results: Sequence[Result]) -> tuple[float, float]:
    return (
        statistics.median(each.events_per_second for each in results),
        statistics.median(each.peak_rss_bytes for each in results),
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.erasure", description=__doc__)
    parser.add_argument("--events", type=int, default=900_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--one", type=int, default=2_750_000, help="events of one person; 0: none")
    parser.add_argument("--ingest-events", type=int, default=300_000)
    parser.add_argument("--erased", type=int, nargs="*", default=[0, 10_000, 100_000])
    parser.add_argument("--repeat", type=int, default=3)
    given, console = parser.parse_args(), Console()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure_batches(
            Path(folder), given.events, given.batch, given.batches, console
        ))  # fmt: skip
    if given.one:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure_one(Path(folder), given.one, console))
    if given.erased:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure_ingest(
                Path(folder), given.ingest_events, given.erased, given.repeat, console
            ))  # fmt: skip


if __name__ == "__main__":
    main()

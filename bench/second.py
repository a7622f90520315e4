"""``python -m bench.second``: puts into a folder alone, and into two in either mode.

Four partitions put segments of 256 KiB one after another each, as workers do; both folders lie on
one disk, which two stores would not.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from audit_stream.archive.order import ArchiveOrder
from audit_stream.evidence.layout import SegmentName
from audit_stream.ports import WormStore
from audit_stream.stores.backlog import Bound
from audit_stream.stores.breaker import CircuitBreaker
from audit_stream.stores.clock import SystemClock
from audit_stream.stores.file import FileStore
from audit_stream.stores.mirrored import MirroredStore, Mirroring
from audit_stream.stores.retry import ResilientStore
from audit_stream.telemetry.alerts import AlarmBoard

_PARTITIONS = 4
_BYTES = 256 << 10
_CLOCK = SystemClock()


def _folder(root: Path, name: str) -> ResilientStore:
    breaker = CircuitBreaker(name, clock=_CLOCK, alerts=AlarmBoard("bench"))
    return ResilientStore(FileStore(root / name), breaker, clock=_CLOCK)


def _open(root: Path, mode: Mirroring | None) -> WormStore:
    primary = _folder(root, "one")
    if mode is None:
        return primary
    return MirroredStore(
        primary, _folder(root, "two"), ArchiveOrder(), mode, Bound(seconds=60), clock=_CLOCK,
        told=lambda *_: None, drain_seconds=600,
    )  # fmt: skip


async def _run(mode: Mirroring | None, puts: int) -> tuple[float, list[float]]:
    """Seconds until all stands everywhere, and of each put."""
    each: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        store = _open(Path(folder), mode)

        async def partition(number: int) -> None:
            for base in range(puts // _PARTITIONS):
                data, began = os.urandom(_BYTES), time.perf_counter()
                await store.put_if_absent(str(SegmentName("t", 1, number, base)), data, {})
                each.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*map(partition, range(_PARTITIONS)))
        await store.close()  # which waits for the copies
        return time.perf_counter() - began, each


async def _measure(puts: int, rounds: int) -> Table:
    table = Table("stores", "puts/s", "median ms", "99% ms")
    modes = {"one": None, "two, behind": Mirroring.BEHIND, "two, before": Mirroring.BEFORE}
    found: dict[str, list[tuple[float, list[float]]]] = {name: [] for name in modes}
    for _ in range(rounds):
        for name, mode in modes.items():
            found[name].append(await _run(mode, puts))
    for name, runs in found.items():
        each = [seconds * 1000 for _, times in runs for seconds in times]
        rate = median(puts / seconds for seconds, _ in runs)
        table.add_row(
            name, f"{rate:.0f}", f"{median(each):.1f}", f"{quantiles(each, n=100)[98]:.1f}"
        )
    return table


def main() -> None:
    """By hand."""
    parser = argparse.ArgumentParser(prog="python -m bench.second")
    parser.add_argument("--puts", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    Console().print(asyncio.run(_measure(given.puts, given.rounds)))


if __name__ == "__main__":
    main()

"""``python -m bench.replay``: how fast history is compared and archived anew, beside live ingest.

The same data three times: two workers archive it as in `bench.run`, then ``replay --compare``
derives it again from the raw topic, then ``backfill`` archives it a second time. A replay's clock
runs from launch to the last word, that of live ingest from the moment all is warm. Both archives
are compared at the end, so nobody can look fast by skipping work.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from audit_stream.kafka.embedded import EmbeddedKafka
from bench.contenders import MEMBERS, AuditStream, Run
from bench.generate import Workload
from bench.load import Load, encode
from bench.measure import measure
from bench.processes import RunFailed

_EVENTS, _REPEAT, _WARMUP_SHARE = 300_000, 3, 0.1
_LIVE, _COMPARE, _BACKFILL = "live ingest", "replay --compare", "backfill"
_BROKER_HEAP_MB = 1024


async def one_round(load: Load, run: Run) -> dict[str, float]:
    """Events a second of live ingest, of comparing it, and of archiving it again."""
    ours, events = AuditStream(), load.workload.total
    rates: dict[str, float] = {}

    async def after(run: Run) -> None:
        into = (run.folder / "again").as_uri()
        processes = ("--processes", str(MEMBERS))
        for name, words in (
            (_COMPARE, ("replay", "--compare", *processes)),
            (_BACKFILL, ("backfill", "--into", into, *processes)),
        ):
            began = time.perf_counter()
            await asyncio.to_thread(_command, ours, run, *words)
            rates[name] = events / (time.perf_counter() - began)
        archive = ours.archive(run).as_uri()
        await asyncio.to_thread(_command, ours, run, "archive", "compare", archive, into)

    result = await measure(ours, load, run, afterwards=after)
    return {_LIVE: result.events_per_second, **rates}


def _command(ours: AuditStream, run: Run, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, *AuditStream.PROGRAM, *words], cwd=run.folder,
        env={**os.environ, **ours.settings(run, MEMBERS)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RunFailed(f"audit-stream {words[0]}: {(done.stdout + done.stderr)[-800:]}")


async def _run(options: argparse.Namespace, folder: Path) -> list[dict[str, float]]:
    warmup = round(options.events * _WARMUP_SHARE)
    load = encode(Workload(events=options.events, warmup=warmup, seed=1))
    rounds = []
    async with EmbeddedKafka(folder / "kafka", heap_mb=_BROKER_HEAP_MB) as kafka:
        for number in range(options.repeat):
            name = f"replay-{number}"
            run = Run(name=name, bootstrap=kafka.bootstrap, folder=folder / name, tools=folder)
            rounds.append(await one_round(load, run))
    return rounds


def table(rounds: Sequence[dict[str, float]]) -> str:
    """Medians and the ratio to live ingest, as Markdown."""
    medians = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    lines = ["| | events/s | of live ingest |", "|---|---|---|"]
    lines += [f"| {n} | {rate:,.0f} | {rate / medians[_LIVE]:.2f} |" for n, rate in medians.items()]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; exit code 3 when something failed."""
    parser = argparse.ArgumentParser(prog="bench.replay", description=__doc__)
    parser.add_argument("--events", type=int, default=_EVENTS, help="events timed, per round")
    parser.add_argument("--repeat", type=int, default=_REPEAT, help="rounds")
    console = Console()
    folder = Path(tempfile.mkdtemp(prefix="audit-bench-"))
    try:
        rounds = asyncio.run(_run(parser.parse_args(argv), folder))
    except RunFailed as failure:
        console.print(str(failure), markup=False)
        return 3
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    console.print(table(rounds), markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())

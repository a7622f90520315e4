"""``python -m bench.run``: everybody on one broker, in alternation, then ours alone at full state.

Results go to ``bench/results/``; ``--write`` also renews ``latest.json`` and the tables in
``docs/performance.md``. Exit code 1 when a floor is missed, 3 when a contender failed.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from audit_stream.kafka.embedded import EmbeddedKafka
from bench import aftermath, report
from bench.contenders import CONTENDERS, ROOT, AuditStream, Contender, Run
from bench.effects import TopicEffect
from bench.generate import Workload
from bench.load import Load, create_topics, delete_topics, encode, write
from bench.measure import Result, in_alternation, measure
from bench.micro import micro
from bench.processes import RunFailed

_RESULTS = ROOT / "bench" / "results"
_PAGE = ROOT / "docs" / "performance.md"
_TOOLS = ROOT / "build" / "bench"  # ignored by git, kept between runs
_EVENTS, _SHORT_EVENTS = 1_000_000, 100_000
_WARMUP_SHARE = 0.1
_EVENTS_PER_MESSAGE = 3.4
_FULL_STATE = 1_000_000  # messages: where the memory and the restore are measured
_BROKER_HEAP_MB = 1024
_MEGABYTE = 1 << 20


class Benchmark:
    """One whole benchmark: a broker, the loads, and what was measured so far."""

    def __init__(self, options: argparse.Namespace, console: Console) -> None:
        self._options = options
        self._console = console
        self._loads: dict[Workload, Load] = {}
        self._runs = 0
        self._bootstrap = ""
        self._folder = Path()
        self.rounds: list[list[Result]] = []
        self.missing: dict[str, str] = {}
        self.extra: dict[str, float] = {}
        self.failed = False

    async def run(self, folder: Path) -> None:
        """Measure everything that can be measured here, with scratch data in `folder`."""
        self._folder = folder
        ready = self._ready()
        async with EmbeddedKafka(folder / "kafka", heap_mb=_BROKER_HEAP_MB) as kafka:
            self._bootstrap = kafka.bootstrap
            await self._warm_broker()
            for order in in_alternation(ready, self._options.repeat):
                self.rounds.append([])
                for contender in order:
                    await self._one(contender)
            if self._options.state_messages:
                await self._full_state(self._options.state_messages)
        if not self._options.short:
            self.extra |= await asyncio.to_thread(micro)

    def _ready(self) -> list[Contender]:
        wanted = self._options.only or [contender.name for contender in CONTENDERS]
        _TOOLS.mkdir(parents=True, exist_ok=True)
        ready = []
        for contender in CONTENDERS:
            reason = contender.missing(_TOOLS) if contender.name in wanted else "not asked for"
            if reason is None:
                ready.append(contender)
                continue
            self.missing[contender.name] = reason
            self._console.print(f"{contender.title}: {reason}", markup=False)
        return ready

    async def _warm_broker(self) -> None:
        """Write and read a stretch once, so that nobody is first on a cold broker."""
        topic = "bench-0"
        part = self._load(self._workload(self._options.events)).warmup
        await create_topics(self._bootstrap, [topic])
        await write(self._bootstrap, topic, part)
        async with TopicEffect(self._bootstrap, topic) as effect:
            async for _ in effect.lines():
                pass
        await delete_topics(self._bootstrap, topic)

    async def _one(self, contender: Contender) -> None:
        workload = self._workload(self._options.events).scaled(contender.share)
        try:
            result = await measure(contender, self._load(workload), self._new_run(contender))
        except RunFailed as failure:
            self._fail(contender, failure)
            return
        self.rounds[-1].append(result)
        self._console.print(
            f"{contender.title}: {result.events_per_second:,.0f} events/s, "
            f"{result.peak_rss_bytes / _MEGABYTE:,.0f} MB",
            markup=False,
        )

    async def _full_state(self, messages: int) -> None:
        """Ours alone until it holds state of so many messages; then its archive and changelog."""
        ours = AuditStream()
        load = encode(self._workload(round(messages * _EVENTS_PER_MESSAGE)))

        async def after(run: Run) -> None:
            self.extra |= await aftermath.after(run, records=len(load.rises), keys=load.keys)

        try:
            result = await measure(ours, load, self._new_run(ours), afterwards=after)
        except RunFailed as failure:
            self._fail(ours, failure)
            return
        self.extra["peak_rss_mb"] = result.peak_rss_bytes / _MEGABYTE
        self.extra["full_state_messages"] = load.keys
        self.extra["full_state_events_per_second"] = result.events_per_second

    def _fail(self, contender: Contender, failure: RunFailed) -> None:
        self.failed = True
        self.missing[contender.name] = f"failed: {failure}"
        self._console.print(f"{contender.title} failed: {failure}", markup=False)

    def _new_run(self, contender: Contender) -> Run:
        self._runs += 1
        name = f"bench-{self._runs}-{contender.name}"
        return Run(name=name, bootstrap=self._bootstrap, folder=self._folder / name, tools=_TOOLS)

    def _load(self, workload: Workload) -> Load:
        if workload not in self._loads:
            self._loads[workload] = encode(workload)
        return self._loads[workload]

    def _workload(self, events: int) -> Workload:
        warmup = round(events * _WARMUP_SHARE)
        return Workload(events=events, warmup=warmup, seed=self._options.seed)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and say how it went, as an exit code."""
    options = _parse(argv)
    console = Console()
    benchmark = Benchmark(options, console)
    machine = report.machine()
    started = time.gmtime()
    folder = Path(tempfile.mkdtemp(prefix="audit-bench-"))
    try:
        asyncio.run(benchmark.run(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result = report.document(
        machine=machine,
        measured_at=time.strftime("%Y-%m-%d", started),
        workload=asdict(Workload(
            events=options.events, warmup=round(options.events * _WARMUP_SHARE), seed=options.seed
        )),
        rounds=benchmark.rounds,
        missing=benchmark.missing,
        extra=benchmark.extra,
    )  # fmt: skip
    console.print(report.markdown(result), markup=False)
    report.save(result, _RESULTS, time.strftime("%Y%m%dT%H%M%SZ", started))
    if options.write:
        report.save(result, _RESULTS, "latest")
        report.update_page(_PAGE, report.markdown(result))
    if benchmark.failed:
        return 3
    missed = "below the floor" in result["verdicts"].values()
    return 1 if missed and not options.short else 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.run", description=__doc__)
    parser.add_argument("--events", type=int, help="events timed, per run")
    parser.add_argument("--repeat", type=int, default=3, help="rounds")
    parser.add_argument("--seed", type=int, default=1, help="of the workload")
    parser.add_argument("--only", nargs="+", choices=[each.name for each in CONTENDERS])
    parser.add_argument(
        "--state-messages",
        type=int,
        help="messages of state for memory, verify and restore; 0 leaves them out",
    )
    parser.add_argument("--short", action="store_true", help="a smoke test: 100,000 events, once")
    parser.add_argument("--write", action="store_true", help="renew latest.json and the page")
    options = parser.parse_args(argv)
    if options.short:
        options.repeat = 1
    if options.events is None:
        options.events = _SHORT_EVENTS if options.short else _EVENTS
    if options.state_messages is None:
        options.state_messages = 0 if options.short else _FULL_STATE
    return options


if __name__ == "__main__":
    sys.exit(main())

"""Seed after seed on one cluster: played, judged, told."""

from __future__ import annotations

import json
import shutil
import time
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from audit_stream.errors import BrokerError
from audit_stream.kafka.connect import KafkaConnection, open_admin
from tests.campaigns.chaos.cluster import Cluster
from tests.campaigns.chaos.evidence import gather
from tests.campaigns.chaos.judge import judge
from tests.campaigns.chaos.machine import Machine
from tests.campaigns.chaos.play import Play
from tests.campaigns.chaos.schedule import BROKERS, Schedule
from tests.campaigns.chaos.site import TwoTopics, site

_ATTEMPTS = 3
Say = Callable[[str], None]


@dataclass
class Outcome:
    """What a seed came to; `problems` is empty when every promise held."""

    seed: int
    store: str
    actions: list[str]
    records: int = 0
    offsets: int = 0
    quarantined: int = 0
    erased: int = 0
    restarts: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def row(self) -> str:
        """Of the table."""
        kinds = ", ".join(self.actions)
        verdict = f"VIOLATED {self.problems[0][:80]}" if self.problems else "holds"
        return (
            f"| {self.seed} | {self.store} | {kinds} | {self.offsets} | {self.records} "
            f"| {self.restarts} | {self.seconds:.0f} | {verdict} |"
        )


HEAD = (
    "| seed | store | actions | offsets | records | restarts | seconds | verdict |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


async def run_seed(cluster: Cluster, schedule: Schedule, folder: Path, say: Say) -> Outcome:
    """Play and judge it. The folder is kept where something is wrong, with all that was seen."""
    outcome = Outcome(schedule.seed, schedule.store, [action.kind for action in schedule.actions])
    for line in schedule.lines():
        say(line)
    started = time.monotonic()

    def timed(line: str) -> None:
        say(f"{time.monotonic() - started:6.1f} s  {line}")

    shutil.rmtree(folder, ignore_errors=True)
    async with site(cluster.url, BROKERS, folder, schedule) as found:
        play = Play(found, cluster, cluster.network, timed)
        try:
            await play.run()
            timed("judging")
            (folder / "judged").mkdir()
            verdict = judge(await gather(play, folder / "judged"))
            outcome.problems += play.problems + verdict.problems
            outcome.records, outcome.offsets = verdict.records, verdict.offsets
            outcome.quarantined, outcome.erased = verdict.quarantined, verdict.erased
        except Exception as error:
            outcome.problems.append(f"not settled: {type(error).__name__}: {error}")
            (folder / "error.txt").write_text(traceback.format_exc())
        outcome.restarts = found.crew.restarts
        (folder / "exits.txt").write_text("".join(f"{each}\n" for each in found.crew.exits))
    outcome.seconds = time.monotonic() - started
    (folder / "outcome.json").write_text(json.dumps(asdict(outcome)))
    for problem in outcome.problems[:20]:
        say(f"VIOLATION {problem[:600]}")
    return outcome


async def forget(cluster: Cluster, fleet: TwoTopics) -> None:
    """Remove a seed's topics, so that the next begins with none."""
    async with open_admin(KafkaConnection.from_settings(fleet.settings)) as admin:
        names = [
            each for each in await admin.list_topics()
            if each.startswith((fleet.prefix, "audit-"))
        ]  # fmt: skip
        await admin.delete_topics(names)


@asynccontextmanager
async def _cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Three times tried: on a loaded machine a node may miss its time."""
    async with AsyncExitStack() as stack:
        for attempt in range(_ATTEMPTS):
            try:
                cluster = await stack.enter_async_context(Cluster(folder / str(attempt)))
                break
            except BrokerError:
                if attempt == _ATTEMPTS - 1:
                    raise
        yield cluster


async def campaign(
    seeds: Sequence[Schedule], folder: Path, results: Path | None, say: Say
) -> list[Outcome]:
    """All of them, each on an installation of its own; the cluster is begun anew where one has
    left it broken."""
    outcomes: list[Outcome] = []
    left = list(seeds)
    while left:
        async with _cluster(folder / f"cluster-{len(outcomes)}") as cluster:
            say(f"network: {cluster.network.means}; machine: {Machine.means}")
            while left:
                schedule = left.pop(0)
                outcome = await run_seed(cluster, schedule, folder / f"seed-{schedule.seed}", say)
                outcomes.append(outcome)
                say(outcome.row)
                if results is not None:
                    with results.open("a") as file:
                        file.write(json.dumps(asdict(outcome)) + "\n")
                if outcome.problems:
                    break
                shutil.rmtree(folder / f"seed-{schedule.seed}")
                await forget(cluster, TwoTopics(cluster.url, folder, f"chaos{schedule.seed}"))
    return outcomes


def table(outcomes: Sequence[Outcome]) -> str:
    """In Markdown."""
    return "\n".join([HEAD, *(each.row for each in outcomes)])

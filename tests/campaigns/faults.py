"""Every fault of a store against two real workers: ``python -m tests.campaigns.faults``.

Each fault in turn hits a share of all requests while `audit-stream import` runs, then every request
until the circuit breakers open. Exit code 1 when a record is missing, twice or unexplained, an
alarm is not as said, or a broken store was asked more than twice a second by a worker.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from audit_stream.kafka.embedded import EmbeddedKafka
from tests.campaigns.run import Outcome, Plan, run
from tests.campaigns.stores import STORES

_COLUMNS = ("fault", "records", "seconds", "requests", "hit", "opened at share", "opened", "closed",
            "alarms", "max/s one target", "max/s both", "verdict")  # fmt: skip
_WIDTH = 140  # the table is for a page, too


async def campaign(given: argparse.Namespace, folder: Path, console: Console) -> list[Outcome]:
    """One run after another on one broker."""
    plan = Plan(share=given.share, records=given.records, seed=given.seed)
    store = STORES[given.store]
    outcomes = []
    async with EmbeddedKafka(folder / "kafka") as broker:
        for number, name in enumerate(given.fault or store.by_name):
            prefix = f"f{number}-{name.replace('_', '-')}"
            scenario = store.by_name[name]
            outcome = await run(broker.url, folder / prefix, prefix, store, scenario, plan)
            outcomes.append(outcome)
            console.print(name, f"{outcome.seconds:.0f} s", *outcome.problems or ["fine"])
    return outcomes


def table(outcomes: list[Outcome]) -> Table:
    """A row a fault."""
    shown = Table(*_COLUMNS, box=MARKDOWN)
    for each in outcomes:
        closings = len(each.turns) - each.openings
        shown.add_row(
            each.scenario.name, *map(str, (
                each.records, round(each.seconds), each.requests, each.hits, each.at_share,
                each.openings, closings, len(each.told), each.one_target, each.both_targets,
            )), "BROKEN" if each.problems else "holds",
        )  # fmt: skip
    return shown


def main() -> int:
    """Entry point."""
    usual, parser = Plan(), argparse.ArgumentParser(prog="python -m tests.campaigns.faults")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--store", choices=STORES, default="azure")
    parser.add_argument("--fault", action="append", metavar="KIND", help="one of the store's")
    parser.add_argument("--share", type=float, default=usual.share)
    parser.add_argument("--records", type=int, default=usual.records)
    parser.add_argument("--folder", type=Path, help="keep logs there")
    given = parser.parse_args()
    if unknown := set(given.fault or ()) - set(STORES[given.store].by_name):
        parser.error(f"{given.store} has no fault {', '.join(sorted(unknown))}")
    console, started = Console(width=_WIDTH), time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        outcomes = asyncio.run(campaign(given, given.folder or Path(scratch), console))
    console.print(table(outcomes), f"{time.monotonic() - started:.0f} s in all")
    return any(outcome.problems for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())

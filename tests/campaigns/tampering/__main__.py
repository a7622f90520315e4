"""The command: run, print the table, exit with 1 when something was missed or found in vain."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time

from rich.console import Console
from rich.table import Column, Table

from tests.campaigns.tampering.campaign import Result, campaign
from tests.campaigns.tampering.judge import Outcome
from tests.campaigns.tampering.table import KINDS, SHOWN, Finder, Kind

_SHOWN_MISSES = 50


def table(result: Result) -> Table:
    """A row a kind: how often each finder found it, of how many; `must` in bold."""
    shown = Table(Column("mutation", no_wrap=True), "tried", *(
        finder.value.strip("`") for finder in Finder))  # fmt: skip
    for kind in KINDS:
        if result.tried[kind.name]:
            cells = (_cell(result, kind, finder) for finder in Finder)
            shown.add_row(kind.name, str(result.tried[kind.name]), *cells)
    return shown


def _cell(result: Result, kind: Kind, finder: Finder) -> str:
    said = {outcome: result.said[kind.name, finder, outcome] for outcome in Outcome}
    if not sum(said.values()):
        return ""
    text = f"{said[Outcome.FOUND]}"
    if said[Outcome.SHOWN]:
        text += f" + {said[Outcome.SHOWN]} shown"
    if said[Outcome.WRONG]:
        text += f", {said[Outcome.WRONG]} WRONG"
    needed = kind.must(finder) or kind.spared.get(finder) == SHOWN
    return f"[bold]{text}[/bold]" if needed else f"[dim]{text}[/dim]"


def main() -> int:
    """By hand: thousands."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.tampering")
    parser.add_argument("--mutations", type=int, default=5000)
    parser.add_argument("--clean", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)  # every alarm is one
    began, console = time.monotonic(), Console()
    result = asyncio.run(campaign(given.mutations, given.clean, given.seed))
    console.print(table(result))
    for text in (*result.missed, *result.false_alarms)[:_SHOWN_MISSES]:
        console.print(text, markup=False)
    console.print(
        f"{result.tried.total()} mutations in {time.monotonic() - began:.0f} s; missed: "
        f"{len(result.missed)}; false alarms on {given.clean} clean archives: "
        f"{len(result.false_alarms)}. Bold: must be found; dim: found beyond that."
    )
    return 1 if result.missed or result.false_alarms else 0


if __name__ == "__main__":
    sys.exit(main())

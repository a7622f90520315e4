"""``python -m tests.campaigns.chaos --seeds 50``, or ``--seed 7`` to see that one again."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.campaigns.chaos.campaign import Outcome, campaign, table
from tests.campaigns.chaos.ending import cancelled_by_signals
from tests.campaigns.chaos.schedule import Schedule, schedule


async def _run(seeds: list[Schedule], folder: Path, results: Path | None) -> list[Outcome]:
    with cancelled_by_signals():
        return await campaign(seeds, folder, results, lambda line: print(line, flush=True))


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.chaos")
    parser.add_argument("--seed", type=int, action="append", help="this one; repeatable")
    parser.add_argument("--seeds", type=int, default=50, help="so many, from --first on")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="print the schedules only")
    parser.add_argument("--folder", type=Path, help="where violations are kept")
    parser.add_argument("--results", type=Path, help="a JSON line for each seed, at once")
    given = parser.parse_args()
    seeds = [schedule(n) for n in given.seed or range(given.first, given.first + given.seeds)]
    if given.show:
        print("\n".join(line for each in seeds for line in each.lines()))
        return 0
    folder = given.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    started = time.monotonic()
    outcomes = asyncio.run(_run(seeds, folder, given.results))
    print(table(outcomes))
    broken = [each.seed for each in outcomes if each.problems]
    seconds = time.monotonic() - started
    print(f"{len(outcomes)} seeds, violated: {broken or 'none'}, {seconds:.0f} s")
    if broken:
        print(f"kept in {folder}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

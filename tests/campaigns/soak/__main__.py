"""``python -m tests.campaigns.soak``: an hour at a steady rate, sampled and judged."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path

from audit_stream.kafka.embedded import EmbeddedKafka
from tests.campaigns.soak.plan import Plan
from tests.campaigns.soak.run import run


def main() -> int:
    """Entry point."""
    usual, parser = Plan(), argparse.ArgumentParser(prog="python -m tests.campaigns.soak")
    parser.add_argument("--minutes", type=float, default=usual.minutes)
    parser.add_argument("--rate", type=int, default=usual.rate, help="events a second")
    parser.add_argument("--samples", type=Path, default=Path("build/soak.jsonl"))
    parser.add_argument("--folder", type=Path, help="where everything lies; kept when it is given")
    given = parser.parse_args()
    plan = Plan(minutes=given.minutes, rate=given.rate)
    given.samples.parent.mkdir(parents=True, exist_ok=True)
    given.samples.unlink(missing_ok=True)
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        asyncio.run(_campaign(folder, plan, given.samples))
    return 0


async def _campaign(folder: Path, plan: Plan, samples: Path) -> None:
    async with EmbeddedKafka(folder / "kafka", heap_mb=768) as kafka:
        await run(kafka, folder, plan, samples, "soak")


if __name__ == "__main__":
    raise SystemExit(main())

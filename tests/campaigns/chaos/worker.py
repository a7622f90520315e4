"""``python -m tests.campaigns.chaos.worker ORDERS``: a worker that gets a signal at a step.

The file ORDERS, once it is there, says which: ``9 put after`` kills it after the next put.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from audit_stream.app import run
from audit_stream.cli.main import run_command
from audit_stream.stream.context import StepHook


def obeying(orders: Path) -> StepHook:
    """A hook that carries an order out once, at its step."""

    def hook(step: str, when: str) -> None:
        try:
            number, at, moment = orders.read_text().split()
        except FileNotFoundError:
            return
        if (step, when) == (at, moment):
            orders.unlink()
            os.kill(os.getpid(), int(number))

    return hook


def main() -> int:
    """`audit-stream worker`, but for the hook."""
    run.run_worker = partial(run.run_worker, hook=obeying(Path(sys.argv[1])))  # type: ignore[assignment]
    return run_command(["worker"])


if __name__ == "__main__":
    sys.exit(main())

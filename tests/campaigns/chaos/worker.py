"""``python -m tests.campaigns.chaos.worker ORDERS``: a worker that gets a signal at a step.

The file ORDERS, once it is there, says which: ``9 put after`` kills it after the next put.
"""

from __future__ import annotations

import asyncio
import logging.config
import os
import sys
from pathlib import Path

from audit_stream.app.run import run_worker
from audit_stream.settings import Settings
from audit_stream.stream.context import StepHook
from audit_stream.telemetry.logs import logging_config


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


def main() -> None:
    """Entry point."""
    settings = Settings.load(None)
    logging.config.dictConfig(logging_config(settings.log_level, settings.log_format))
    asyncio.run(run_worker(settings, obeying(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()

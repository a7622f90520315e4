"""`audit-stream worker`: one member of the fleet."""

from __future__ import annotations

import asyncio
import logging.config
from pathlib import Path
from typing import Annotated

import typer

from audit_stream.cli.options import Config
from audit_stream.settings import Settings
from audit_stream.telemetry.logs import logging_config


def worker(
    web_port: Annotated[
        int | None, typer.Option(help="Port of /metrics, /healthz, /readyz.")
    ] = None,
    state_dir: Annotated[Path | None, typer.Option(help="This worker's own state folder.")] = None,
    config: Config = None,
) -> None:
    """Consume the raw topics and archive them, until SIGTERM.

    Run as many as there are partitions at most, each with its own state folder and web port.
    """
    settings = Settings.load(config, web_port=web_port, state_dir=state_dir)
    logging.config.dictConfig(logging_config(settings.log_level, settings.log_format))
    from audit_stream.app.run import run_worker

    asyncio.run(run_worker(settings))

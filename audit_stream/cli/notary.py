"""`audit-stream notary`: writes the archive log."""

from __future__ import annotations

import asyncio
import logging.config
from typing import Annotated

import typer

from audit_stream.cli.options import Config, WebPort
from audit_stream.settings import Settings
from audit_stream.telemetry.logs import logging_config


def notary(
    once: Annotated[bool, typer.Option("--once", help="Log what is stored now, and end.")] = False,
    web_port: WebPort = None,
    config: Config = None,
) -> None:
    """Follow the archive and write its log: a batch with a signed checkpoint every minute.

    Any number may run: put-if-absent decides whose batch it is. It keeps nothing outside the store.
    Exit 0: stopped. 1: the log does not fit the archive, and nothing was written over it; or the
    store was away at the start.
    """
    settings = Settings.load(config, web_port=web_port)
    logging.config.dictConfig(logging_config(settings.log_level, settings.log_format))
    from audit_stream.app.notary import run_notary

    serve = not once or web_port is not None
    asyncio.run(run_notary(settings, once=once, serve=serve))

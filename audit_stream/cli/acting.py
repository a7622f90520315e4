"""Who acts: the id a person gives for themselves, and the login that the operating system let in.

The id stands in what is made. A log line of each act has both: the command line believes `--by`.
"""

from __future__ import annotations

import getpass
import logging.config
import os
from typing import Annotated

import typer

from audit_stream.settings import Settings
from audit_stream.telemetry.logs import logging_config

log = logging.getLogger(__name__)
_HELP = "Your id, which stands there for ever: no name, no address."
By = Annotated[str, typer.Option("--by", help=_HELP)]
#: The login where none is given.
ByOrLogin = Annotated[str | None, typer.Option(
    "--by", help=_HELP, show_default="the user you are logged in as",
)]  # fmt: skip


def actor(by: str | None) -> str:
    """Who does it."""
    return by or login()


def login() -> str:
    """Whom the operating system let in; of a user without a name, as in a container, the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def log_act(settings: Settings, what: str, by: str | None = None) -> None:
    """One line that `what` was done, on whose word and under which login."""
    logging.config.dictConfig(logging_config(settings.log_level, settings.log_format))
    log.info("%s by %s (login %s)", what, actor(by), login())

"""A passphrase: typed where nobody sees it, or the only line of a file; never an argument."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from audit_stream.errors import ConfigError

LEAST_BYTES = 16
MOST_BYTES = 4096
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        help="A file with the passphrase as its only line, mode 0600; else it is asked for.",
        show_default=False,
    ),
]
_MAKE = "make one: openssl rand -base64 32"


def read_passphrase(file: Path | None, *, twice: bool = False) -> bytes:
    """The passphrase; asked for `twice` where something is to be made with it. `ConfigError`."""
    phrase = _typed(twice=twice) if file is None else _read(file)
    if twice and len(phrase) < LEAST_BYTES:
        raise ConfigError(
            f"the passphrase has fewer than {LEAST_BYTES} characters",
            hint=f"six words drawn by lot, or a random line: {_MAKE}",
        )
    return phrase


def _typed(*, twice: bool) -> bytes:
    if not sys.stdin.isatty():
        raise ConfigError(
            "there is no terminal to ask for the passphrase", hint="give --passphrase-file"
        )
    typed: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=twice, err=True)
    return typed.encode()


def _read(file: Path) -> bytes:
    from audit_stream.keys.file import read_private

    data = read_private(file, "passphrase file", _MAKE)
    line = data.removesuffix(b"\n").removesuffix(b"\r")
    if not line or b"\n" in line or len(line) > MOST_BYTES:
        raise ConfigError(
            f"{file} does not hold one line of at most {MOST_BYTES} bytes", hint=_MAKE
        )
    return line

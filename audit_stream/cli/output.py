"""How commands speak: tables and progress on a terminal, else plain lines or one JSON document."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from audit_stream.durable import put_in_place
from audit_stream.errors import ConfigError


class Output:
    """One command's output; with `as_json`, `document` is all that reaches stdout."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        # Texts come from events: what looks like markup or an emoji's name is printed as it is.
        self._out = Console(soft_wrap=True, markup=False, emoji=False, highlight=False)
        self._err = Console(stderr=True, soft_wrap=True, markup=False, emoji=False, highlight=False)

    def say(self, text: str) -> None:
        """A line for people."""
        if not self.as_json:
            self._out.print(text)

    def note(self, text: str) -> None:
        """A line on stderr."""
        self._err.print(text)

    def document(self, value: Any) -> None:
        """The JSON answer, if asked for."""
        if self.as_json:
            sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table on a terminal, tab-separated lines otherwise."""
        if self.as_json:
            return
        if not self._out.is_terminal:
            for row in (columns, *rows):
                sys.stdout.write("\t".join(str(cell) for cell in row) + "\n")
            return
        table = Table(title=title, title_justify="left")
        for column in columns:
            table.add_column(column)
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
        self._out.print(table)

    def progress(self) -> Progress:
        """A progress display on stderr; silent when that is no terminal."""
        return Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
            console=self._err, transient=True, disable=not self._err.is_terminal,
        )  # fmt: skip


def write_result(path: Path, data: bytes) -> None:
    """What a command was asked for, in a file for its owner only: whole, or what stood there before
    stays. `ConfigError`."""
    try:
        if path.exists() and not path.is_file():  # a pipe, or a device: nothing to keep
            path.write_bytes(data)
        else:
            put_in_place(path, data)
    except OSError as error:
        raise ConfigError(
            f"--output {path}: cannot write: {error.strerror}",
            hint="name a file in a folder where this user may write and there is room",
        ) from None

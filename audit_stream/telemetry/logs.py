"""Logging: one line an event, console or JSON, to stderr. No record is ever logged.

Nor is what could quote one: errors that are not ours are logged without their text, in whatever
form a library hands them over (`discreet`).
"""

from __future__ import annotations

import copy
import json
import logging
import re
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from audit_stream.errors import AuditError
from audit_stream.telemetry.discreet import said, traced

_LINE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
#: Where asyncio begins to show the future, task or callback that it speaks of, arguments included.
_SHOWN = re.compile(r"[(<\n]")


class DiscreetFormatter(logging.Formatter):
    """A line of text, and a traceback behind it, without the texts of others' errors."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return super().format(_discreet(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """The traceback."""
        return "" if ei[1] is None else traced(ei[1])


class JsonFormatter(DiscreetFormatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        record = _discreet(record)
        value: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            value["exception"] = self.formatException(record.exc_info)
        return json.dumps(value)


def _discreet(record: logging.LogRecord) -> logging.LogRecord:
    """A copy, for other handlers may see the record, too."""
    record = copy.copy(record)
    record.exc_text = None  # made by whoever formatted it before
    if record.name == "asyncio":
        record.msg, record.args = _SHOWN.split(record.getMessage(), 1)[0].rstrip(), None
    elif isinstance(record.args, Mapping):
        record.args = {name: _harmless(value) for name, value in record.args.items()}
    elif record.args:
        record.args = tuple(map(_harmless, record.args))
    return record


def _harmless(value: object) -> object:
    if isinstance(value, AuditError):
        return value  # as it is written: our own lines are made of them
    return said(value) if isinstance(value, BaseException) else value


def hush_interpreter() -> None:
    """What Python prints of an error that nobody caught is discreet, too: in the main thread, in
    another, in a destructor."""

    def uncaught(_: type[BaseException], error: BaseException, __: TracebackType | None) -> None:
        sys.stderr.write(f"{traced(error)}\n")

    def in_thread(given: threading.ExceptHookArgs) -> None:
        if given.exc_value is not None and not isinstance(given.exc_value, SystemExit):
            sys.stderr.write(f"{traced(given.exc_value)}\n")

    def unraisable(given: Any) -> None:
        if given.exc_value is not None:
            sys.stderr.write(f"ignored: {traced(given.exc_value)}\n")

    sys.excepthook, threading.excepthook, sys.unraisablehook = uncaught, in_thread, unraisable


def logging_config(level: str, form: str) -> dict[str, Any]:
    """The dictConfig of a process. Libraries speak at WARNING: Faust logs tables of offsets."""
    console = {"()": DiscreetFormatter, "fmt": _LINE}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": JsonFormatter} if form == "json" else console},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {"audit_stream": {"level": level}},
    }

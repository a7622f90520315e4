"""Logging: one line an event, libraries kept quiet, JSON that a collector can read."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from audit_stream.telemetry.logs import JsonFormatter

ROOT = Path(__file__).parents[3]
SCRIPT = """
import logging, logging.config, sys
from audit_stream.telemetry.logs import logging_config
before = logging.getLogger("audit_stream.early")
logging.config.dictConfig(logging_config(sys.argv[1], sys.argv[2]))
before.warning("two\\nlines, 100 %%, %s", "ünï")
logging.getLogger("audit_stream.stream").debug("a detail")
logging.getLogger("faust").info("a table of offsets")
logging.getLogger("faust").warning("a library's warning")
try:
    1 / 0
except ZeroDivisionError:
    before.exception("it failed")
"""


def logged(level: str, form: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, level, form],
        capture_output=True,
        encoding="utf-8",
        env={"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        check=True,
    )
    assert done.stdout == ""
    return done.stderr


def test_json_is_one_object_a_line() -> None:
    first, library, failed = (json.loads(line) for line in logged("INFO", "json").splitlines())
    assert first["level"] == "WARNING"
    assert first["logger"] == "audit_stream.early"
    assert first["message"] == "two\nlines, 100 %, ünï"
    assert library["message"] == "a library's warning"
    assert "ZeroDivisionError" in failed["exception"]


def test_json_times_say_their_zone() -> None:
    record = logging.LogRecord("a", logging.INFO, "f", 1, "m", (), None)
    found = datetime.fromisoformat(json.loads(JsonFormatter().format(record))["time"])
    assert found.utcoffset() is not None
    assert found.timestamp() == pytest.approx(record.created, abs=0.001)


def test_the_console_form_names_level_and_logger() -> None:
    assert "WARNING audit_stream.early: two" in logged("INFO", "console")


@pytest.mark.parametrize(("level", "said"), [("INFO", False), ("DEBUG", True)])
def test_the_level_is_ours_alone(level: str, said: bool) -> None:
    text = logged(level, "console")
    assert ("a detail" in text) is said
    assert "a table of offsets" not in text

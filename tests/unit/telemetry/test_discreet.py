"""No text of an error that is not ours gets out, in whatever form it is handed over."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import logging.config
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.errors import RequestTimedOutError

from audit_stream.errors import StoreTransient
from audit_stream.telemetry.discreet import said, traced, where
from audit_stream.telemetry.logs import logging_config

ROOT = Path(__file__).parents[3]
SECRET = "jane@example.org"


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:
        return caught


def test_our_errors_the_systems_and_kafkas_are_said_with_their_text() -> None:
    assert said(StoreTransient("the store is away")) == "StoreTransient: the store is away"
    assert said(OSError(28, "No space left")) == "OSError: No space left"
    assert said(RequestTimedOutError("of 3")).endswith("RequestTimedOutError: of 3")


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET), KeyError(SECRET), OSError(SECRET), RuntimeError(ValueError(SECRET)),
        UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
    ],
)  # fmt: skip
def test_of_any_other_the_kind_is_said(error: Exception) -> None:
    assert said(error) == type(error).__name__


def test_a_traceback_has_the_way_and_each_cause_without_texts() -> None:
    middle = raised(KeyError(SECRET), ValueError(SECRET))
    told = traced(raised(StoreTransient("away"), middle))
    assert SECRET not in told
    kinds = ["ValueError", "KeyError", "StoreTransient: away"]
    assert [line for line in told.splitlines() if line in kinds] == kinds
    assert told.count("direct cause") == 2
    assert "test_discreet.py" in told


def test_every_error_of_a_group_is_told_and_a_circle_ends() -> None:
    one = raised(ValueError(SECRET))
    one.__context__, one.__suppress_context__ = raised(KeyError(SECRET), one), False
    told = traced(ExceptionGroup(SECRET, [one, raised(TypeError(SECRET))]))
    assert SECRET not in told
    assert {"ExceptionGroup", "ValueError", "KeyError", "TypeError"} <= set(told.splitlines())


def test_the_place_is_named_from_within() -> None:
    assert where(raised(ValueError(SECRET))).startswith("test_discreet.py:")


@pytest.fixture(params=["console", "json"])
def logged(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What reaches stderr; logging is put back by tests/conftest.py."""
    logging.config.dictConfig(logging_config("DEBUG", request.param))
    stream = io.StringIO()
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    return stream


def test_neither_traceback_nor_argument_quotes_it(logged: io.StringIO) -> None:
    error = raised(ValueError(SECRET))
    log = logging.getLogger("mode.services")
    log.error("Crashed reason=%r", error, exc_info=error)
    log.error("%(what)s of %(error)s", {"what": "a crash", "error": error})
    logging.getLogger("audit_stream.stream").warning("%s: %s", "failed", error)
    told = logged.getvalue()
    assert SECRET not in told
    assert told.count("ValueError") == 4


def test_an_error_of_ours_is_written_as_it_is(logged: io.StringIO) -> None:
    logging.getLogger("audit_stream").warning("%s", StoreTransient("the store is away"))
    assert "the store is away" in logged.getvalue()
    assert "StoreTransient" not in logged.getvalue()


def test_another_handler_does_not_bring_the_text_back(logged: io.StringIO) -> None:
    record = logging.LogRecord("a", logging.ERROR, "f", 1, "m", (), None)
    record.exc_info = (ValueError, raised(ValueError(SECRET)), None)
    logging.Formatter().format(record)  # it leaves its own form in the record
    logging.getLogger().handle(record)
    assert "ValueError" in logged.getvalue()
    assert SECRET not in logged.getvalue()


def test_what_asyncio_says_of_a_task_or_callback_is_cut(logged: io.StringIO) -> None:
    async def fail() -> None:
        raise ValueError(SECRET)

    def called(text: str) -> None:
        raise ValueError(text)

    async def nobody_waits() -> None:
        asyncio.get_running_loop().call_soon(called, SECRET)
        task = asyncio.create_task(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task

    asyncio.run(nobody_waits())
    gc.collect()
    told = logged.getvalue()
    assert SECRET not in told
    assert "Task exception was never retrieved" in told
    assert "Exception in callback" in told
    assert told.count("ValueError") == 4  # of each a line of code, and the kind


SCRIPT = f"""
import sys, threading
from audit_stream.telemetry.logs import hush_interpreter
hush_interpreter()
class Odd:
    def __del__(self): raise ValueError("{SECRET}")
def fail(): raise ValueError("{SECRET}")
thread = threading.Thread(target=fail); thread.start(); thread.join()
Odd()
fail()
"""


def test_the_interpreter_prints_no_text_either() -> None:
    script = SCRIPT.replace(f'"{SECRET}"', '"".join(["jane", "@example.org"])')
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1
    assert done.stderr.splitlines().count("ValueError") == 3
    assert SECRET not in done.stderr

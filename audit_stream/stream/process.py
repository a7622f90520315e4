"""The process shell: a failure that could lose data ends the process before an offset moves.

Faust's supervisors restart agents, commit what crashed them, and can hang (docs/explanation/
faust.md). So the process ends itself, hard, and its supervisor starts a new one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

log = logging.getLogger(__name__)
EXIT_INTERNAL = 70
EXIT_FENCED = 71  # another worker owns the partition: start again
EXIT_CANNOT_JUDGE = 3  # a newer release wrote what this one would have to follow
_CHECK_SECONDS = 0.5
_LAST_WORDS_SECONDS = 2.0


def die(
    code: int, reason: str, last_words: Callable[[float], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> NoReturn:  # fmt: skip
    """Log, flush and end the process at once: no handler runs, no offset is committed.

    `note` is given the reason. It, `last_words` (told how many seconds it may take) and the log
    must not cost the end: a thread that hangs in a log handler holds its lock, and flushing a
    pipe nobody reads raises.
    """
    end = threading.Timer(_LAST_WORDS_SECONDS, os._exit, (code,))
    end.daemon = True
    try:
        end.start()
        if note is not None:
            note(reason)
        if last_words is not None:
            last_words(_LAST_WORDS_SECONDS / 2)
        log.critical("ending the process (exit code %d): %s", code, reason)
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def is_cancelled() -> bool:
    """Whether the running task is to end; else a `CancelledError` in it is that of a future it
    waited for, which a library gave up."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class ShutdownTimer:
    """Armed when a stop is asked for; ends a stop that hangs. It is never disarmed: threads that
    the interpreter waits for at its end can hang, too."""

    def __init__(self, limit_seconds: float, end: Callable[[int, str], None] = die) -> None:
        self._limit = limit_seconds
        self._end = end
        self._timer: threading.Timer | None = None

    def arm(self) -> None:
        """Start counting; arming twice changes nothing."""
        if self._timer is None:
            message = f"the stop took longer than {self._limit:g} s"
            self._timer = threading.Timer(self._limit, self._end, (EXIT_INTERNAL, message))
            self._timer.daemon = True
            self._timer.start()


class Watchdog:
    """A thread that ends the process when a source of progress stands still for too long.

    A broker that is away, a restore and an open breaker are excuses, not stalls.
    """

    def __init__(self, limit_seconds: float, end: Callable[[int, str], None] = die) -> None:
        self._limit = limit_seconds
        self._end = end
        self._beats: dict[str, float] = {}
        self._excuses: dict[str, str] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch; each source from its first beat or the end of its first excuse on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopped.set()

    def beat(self, source: str) -> None:
        """Progress was made, from any thread."""
        self._beats[source] = time.monotonic()

    def excuse(self, source: str, reason: str | None) -> None:
        """While there is a reason, the source may stand still."""
        if reason is not None:
            self._excuses[source] = reason
        elif source in self._excuses:
            self.beat(source)  # first: without an excuse, a beat of before it counts as a stall
            del self._excuses[source]

    def age(self, source: str) -> float:
        """Seconds since the source's last beat."""
        return time.monotonic() - self._beats.get(source, time.monotonic())

    def _run(self) -> None:
        while not self._stopped.wait(_CHECK_SECONDS):
            for source in list(self._beats):
                if source not in self._excuses and self.age(source) > self._limit:
                    self._end(
                        EXIT_INTERNAL,
                        f"{source} made no progress for {self.age(source):.0f} s",
                    )

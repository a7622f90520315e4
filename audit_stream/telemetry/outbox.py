"""One way out for alarms: a bounded queue, and a thread that tells them one after the other."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    wait_exponential,
    wait_random,
)

from audit_stream.errors import AlertError, AuditError, Fault
from audit_stream.telemetry.alarm import Alarm

log = logging.getLogger(__name__)

#: Tells one alarm, within a time limit of its own. Raises `AuditError`; where the fault is the
#: peer's, trying again may help.
Deliver = Callable[[Alarm], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long an alarm is tried, in seconds."""

    first_delay: float = 1.0  # doubled after each failure
    max_delay: float = 60.0
    jitter: float = 1.0  # at most this is added: a fleet's workers fail at the same moment
    limit: float = 900.0  # no second attempt begins later than that after the alarm
    queue: int = 256  # alarms that wait at most


class Outbox:
    """The `alerts.Teller` of one way, which shares no thread, loop or connection with any other.

    Each alarm is tried at least once, in the order taken: nothing overtakes one that is tried
    again. After a lost answer an alarm may be told twice. What is given up, or found the queue
    full, is logged.
    """

    def __init__(self, way: str, deliver: Deliver, patience: Patience | None = None) -> None:
        self._way = way
        self._deliver = deliver
        self._patience = patience or Patience()
        self._queue: queue.Queue[tuple[Alarm, float]] = queue.Queue(self._patience.queue)
        self._dropped = 0  # since the start
        self._hurry = threading.Event()
        self._last_attempt = False  # whether the one under way began in a hurry
        self._backoff = wait_exponential(
            multiplier=self._patience.first_delay, max=self._patience.max_delay
        ) + wait_random(0, self._patience.jitter)
        threading.Thread(target=self._run, name=f"alarms-{way}", daemon=True).start()

    def __call__(self, alarm: Alarm) -> None:
        """Enqueue; dropped when the queue is full, which the thread logs: a log can hang."""
        try:
            self._queue.put_nowait((alarm, time.monotonic()))
        except queue.Full:
            self._dropped += 1

    def hurry(self) -> None:
        """From now on nobody waits to try again: each alarm that is left is tried once more."""
        self._hurry.set()

    def flush(self, seconds: float) -> None:
        """Wait until the queue is told, or so long."""
        told = self._queue.all_tasks_done  # `join` waits on it too, but without a limit
        with told:
            told.wait_for(lambda: not self._queue.unfinished_tasks, seconds)

    def _run(self) -> None:
        logged = 0
        while True:
            alarm, taken = self._queue.get()
            self._tell(alarm, taken)
            if new := self._dropped - logged:
                log.error("%d alarms not told by %s: its queue was full", new, self._way)
                logged += new
            self._queue.task_done()

    def _tell(self, alarm: Alarm, taken: float) -> None:
        """Tell one alarm or log why not. The loop of an attempt ends with all that hangs in it."""
        retrying = Retrying(
            retry=retry_if_exception(_may_pass),
            wait=self._delay,
            stop=lambda state: self._is_over(state, taken),
            sleep=sleep_using_event(self._hurry),
            before_sleep=lambda state: log.warning(
                "alarm %s (%s) not yet told by %s, trying again: %s", alarm.key, alarm.state,
                self._way, state.outcome and state.outcome.exception(),
            ),
            reraise=True,
        )  # fmt: skip
        try:
            retrying(self._attempt, alarm)
        except Exception as error:
            # Only our own errors are known to hold no secret.
            why = str(error) if isinstance(error, AuditError) else type(error).__name__
            log.error("alarm %s (%s) not told by %s: %s", alarm.key, alarm.state, self._way, why)

    def _attempt(self, alarm: Alarm) -> None:
        self._last_attempt = self._hurry.is_set()
        asyncio.run(self._deliver(alarm))

    def _delay(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, AlertError) else None
        return max(self._backoff(state), min(asked or 0.0, self._patience.max_delay))

    def _is_over(self, state: RetryCallState, taken: float) -> bool:
        next_attempt = time.monotonic() + state.upcoming_sleep
        return self._last_attempt or next_attempt > taken + self._patience.limit


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, AuditError) and error.fault is Fault.PEER

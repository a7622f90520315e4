"""The alarm board: one alarm per key until it is closed; logged, shown, and told by every way."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from typing import Any, Protocol

from audit_stream.telemetry.alarm import Alarm

log = logging.getLogger(__name__)


class Teller(Protocol):
    """A way to tell operations. No method blocks for longer than it says."""

    def __call__(self, alarm: Alarm) -> None:
        """Take the alarm; it is told later, in the order taken."""
        ...

    def hurry(self) -> None:
        """The process ends: tell what is left now, each once more at most."""
        ...

    def flush(self, seconds: float) -> None:
        """Wait until everything is told or given up, or so long."""
        ...


class AlarmBoard:
    """The `Alerts` port. Never blocks, never raises."""

    def __init__(self, worker: str, *tellers: Teller) -> None:
        self._worker = worker
        self._tellers = tellers
        self._lock = threading.Lock()
        self._open: dict[str, Alarm] = {}

    def open(self) -> list[dict[str, Any]]:
        """The alarms that are open, as `Alarm.document` gives them."""
        with self._lock:
            alarms = list(self._open.values())
        return [alarm.document() for alarm in alarms]

    def raise_alarm(self, key: str, summary: str, *, severity: str = "critical") -> None:
        """Open (or repeat, silently) an alarm."""
        alarm = Alarm(
            key=key, state="open", severity=severity, summary=summary, worker=self._worker,
            at=time.time(),
        )  # fmt: skip
        with self._lock:
            if key in self._open:
                return
            self._open[key] = alarm
            self._tell(alarm)
        log.error("ALARM %s: %s", key, summary)

    def close_alarm(self, key: str, summary: str) -> None:
        """Close an alarm that is open."""
        with self._lock:
            opened = self._open.pop(key, None)
            if opened is None:
                return
            self._tell(dataclasses.replace(opened, state="closed", summary=summary, at=time.time()))
        log.warning("alarm closed %s: %s", key, summary)

    def flush(self, seconds: float) -> None:
        """Before the process ends: wait until every way has told what it has, or so long."""
        deadline = time.monotonic() + seconds
        for teller in self._tellers:
            teller.hurry()
        for teller in self._tellers:
            teller.flush(max(0.0, deadline - time.monotonic()))

    def _tell(self, alarm: Alarm) -> None:
        """Under the lock: a closing must not overtake its opening."""
        for teller in self._tellers:
            try:
                teller(alarm)
            except Exception:
                log.exception("an alarm could not be told")

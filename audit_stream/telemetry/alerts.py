"""Alarms: logged, kept on a board, and told over a webhook that shares nothing with the archive."""

from __future__ import annotations

import http.client
import json
import logging
import queue
import threading
import urllib.request
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)
_QUEUE = 256
_TIMEOUT_SECONDS = 10
Teller = Callable[[dict[str, Any]], None]


class AlarmBoard:
    """The `Alerts` port: one alarm per key until it is closed. Never blocks, never raises."""

    def __init__(self, worker: str, *tellers: Teller) -> None:
        self._worker = worker
        self._tellers = list(tellers)
        self._lock = threading.Lock()
        self._open: dict[str, dict[str, Any]] = {}

    def add_teller(self, teller: Teller) -> None:
        """Add another way to tell operations."""
        self._tellers.append(teller)

    def open(self) -> list[dict[str, Any]]:
        """The alarms that are open."""
        with self._lock:
            return list(self._open.values())

    def raise_alarm(self, key: str, summary: str, *, severity: str = "critical") -> None:
        """Open (or repeat, silently) an alarm."""
        event = {"key": key, "state": "open", "severity": severity, "summary": summary,
                 "worker": self._worker}  # fmt: skip
        with self._lock:
            if key in self._open:
                return
            self._open[key] = event
        log.error("ALARM %s: %s", key, summary)
        self._tell(event)

    def close_alarm(self, key: str, summary: str) -> None:
        """Close an alarm that is open."""
        with self._lock:
            event = self._open.pop(key, None)
        if event is not None:
            log.warning("alarm closed %s: %s", key, summary)
            self._tell({**event, "state": "closed", "summary": summary})

    def flush(self, seconds: float) -> None:
        """Wait until what was raised is told, or so long."""
        for teller in self._tellers:
            if isinstance(teller, Webhook):
                teller.flush(seconds)

    def _tell(self, event: dict[str, Any]) -> None:
        for teller in self._tellers:
            try:
                teller(event)
            except Exception:
                log.exception("an alarm could not be told")


class Webhook:
    """Posts alarms as JSON from its own thread; a full queue drops news, never holds up work."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._queue: queue.Queue[dict[str, Any]] = queue.Queue(_QUEUE)
        threading.Thread(target=self._run, name="webhook", daemon=True).start()

    def __call__(self, event: dict[str, Any]) -> None:
        """Enqueue; dropped with a log line when the receiver has been away for 256 alarms."""
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            log.error("alarm not told: the webhook's queue is full")

    def flush(self, seconds: float) -> None:
        """Wait until the queue is told, or so long: before the process ends."""
        told = self._queue.all_tasks_done  # `join` waits on it too, but without a limit
        with told:
            told.wait_for(lambda: not self._queue.unfinished_tasks, seconds)

    def _run(self) -> None:
        while True:
            self._post(self._queue.get())
            self._queue.task_done()

    def _post(self, event: dict[str, Any]) -> None:
        request = urllib.request.Request(  # noqa: S310 - settings allow http(s) only
            self._url,
            data=json.dumps(event).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310
                pass
        except (OSError, ValueError, http.client.HTTPException) as error:
            log.error("alarm not told by webhook: %s", type(error).__name__)

"""What a process says of itself: named conditions, safe to set and read from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Health:
    """`/healthz` is about the process, `/readyz` about its work."""

    def __init__(self, *ready: str) -> None:
        self._lock = threading.Lock()
        self._ready = dict.fromkeys(ready, False)
        self._live: dict[str, Callable[[], bool]] = {}

    def set_ready(self, name: str, value: bool) -> None:
        """Set one condition of readiness, e.g. ``assigned``."""
        with self._lock:
            self._ready[name] = value

    def watch(self, name: str, check: Callable[[], bool]) -> None:
        """Add a check of liveness; it must be quick and thread-safe."""
        with self._lock:
            self._live[name] = check

    def ready(self) -> dict[str, bool]:
        """Each condition of readiness."""
        with self._lock:
            return dict(self._ready)

    def live(self) -> dict[str, bool]:
        """Each check of liveness, asked now."""
        with self._lock:
            checks = dict(self._live)
        return {name: check() for name, check in checks.items()}

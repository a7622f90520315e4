"""An `ports.Alerts` that keeps what it was told."""

from __future__ import annotations


class RecordedAlerts:
    """`events` holds ``("raise" | "close", key)`` in order; `summaries` the texts beside them."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.summaries: list[str] = []

    def raise_alarm(self, key: str, summary: str, *, severity: str = "critical") -> None:
        self.events.append(("raise", key))
        self.summaries.append(summary)

    def close_alarm(self, key: str, summary: str) -> None:
        self.events.append(("close", key))
        self.summaries.append(summary)

"""An alarm as it opens or closes: the fact that every way out tells in its own form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from audit_stream.evidence.encoding import time_text

VERSION = "audit-ops-event/1"
State = Literal["open", "closed"]
#: Longest texts of topics/schemas/audit-ops-events.v1.schema.json, in characters.
KEY_LIMIT, SUMMARY_LIMIT, WORKER_LIMIT = 300, 1000, 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One opening or closing. The same `key` is one alarm until it is closed."""

    key: str  # e.g. ``breaker:archive``
    state: State
    severity: str  # critical, warning or info; a closing has its opening's
    summary: str
    worker: str
    at: float  # seconds since 1970

    def document(self) -> dict[str, Any]:
        """The record of ``audit-ops-events`` (its schema is in topics/), all texts within limits.

        What UTF-8 cannot hold (a file name's stray bytes) is replaced.
        """
        return {
            "key": clip(self.key, KEY_LIMIT),
            "severity": self.severity,
            "state": self.state,
            "summary": clip(self.summary or self.key, SUMMARY_LIMIT),
            "time": time_text(round(self.at * 1000)),
            "v": VERSION,
            "worker": clip(self.worker, WORKER_LIMIT),
        }


def clip(text: str, limit: int) -> str:
    """The text with at most `limit` characters, an ellipsis for the rest."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"

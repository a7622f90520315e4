"""The clock's word, as the formats have it."""

from __future__ import annotations

import time

from audit_stream.evidence.encoding import time_text


def now() -> str:
    """RFC 3339 with milliseconds and Z."""
    return time_text(time.time_ns() // 1_000_000)

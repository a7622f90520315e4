"""What is compiled of reading and hashing whole segments, if it was built: else `None`, and Python
does the same, more slowly (ADR 0029)."""

from __future__ import annotations

from types import ModuleType

compiled: ModuleType | None
try:
    from audit_stream.evidence import _compiled as compiled
except ImportError:
    compiled = None

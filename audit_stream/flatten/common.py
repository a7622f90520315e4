"""`read_common`: an event in the form that nearly all have, read in C where that could be built.

It answers as `event.read_exactly`, or NotImplemented where it does not know: then the event is read
in Python. Without the compiled one, every event is.
"""

from __future__ import annotations

from typing import Any

try:
    from audit_stream.flatten._compiled import read_common

    COMPILED = True
except ImportError:
    COMPILED = False

    def read_common(  # type: ignore[misc]
        value: bytes | None, answers: dict[Any, str | None], type_: Any, /
    ) -> Any:
        """It never knows."""
        return NotImplemented


__all__ = ["COMPILED", "read_common"]

"""Why a worker's process ended, kept for its next one to show.

A process that ends itself is gone before it can be scraped, and an alarm can fail to be told. What
it leaves in its state directory is a metric of the process after it, until that one is stopped.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from audit_stream.errors import AuditError

_CODE = re.compile(r"AS-[0-9]{4}")


class EndNote:
    """A file with the error code of the last end; there is none after a stop."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "last-end"

    def leave(self, reason: str) -> None:
        """Note the code that `reason` begins with, else that of a bug. Never raises."""
        found = _CODE.match(reason)
        with contextlib.suppress(OSError):  # a full disk must not cost the end
            self._path.write_text(found.group() if found else AuditError.code, encoding="ascii")

    def take(self) -> str | None:
        """The code that was left, which is then forgotten."""
        try:
            code = self._path.read_text(encoding="ascii")
            self._path.unlink()
        except (OSError, UnicodeDecodeError):
            return None
        return code if _CODE.fullmatch(code) else None

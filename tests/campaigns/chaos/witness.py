"""Somebody outside who keeps every checkpoint that is shown."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

from audit_stream.app.places import archive_reader
from audit_stream.errors import AuditError
from audit_stream.settings import Settings

_LOOK_SECONDS = 1.5


@dataclass
class Witness:
    """Follows an archive's log."""

    settings: Settings
    kept: list[str] = field(default_factory=list)  # signed notes, in the order they were shown

    async def follow(self) -> None:
        """Look again and again; runs until it is cancelled."""
        while True:
            with contextlib.suppress(AuditError, OSError):
                await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Keep the newest checkpoint, if it is another one."""
        note = await asyncio.to_thread(self._newest)
        if note is not None and note not in self.kept:
            self.kept.append(note)

    def _newest(self) -> str | None:
        with archive_reader(self.settings) as reader:
            names = [name for name in reader.names("log/") if name.endswith(".json")]
            if not names:
                return None
            return str(json.loads(reader.get(max(names)) or b"{}")["checkpoint"])

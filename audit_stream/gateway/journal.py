"""The access journal: every read is on disk before its answer leaves (HIPAA 164.312(b)).

Append-only lines in one file a day, one fsync for all requests that wait. A customer look-up stores
no identifier. Sealing the lines into the archive log is the notary's.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audit_stream.errors import ConfigError, StateError
from audit_stream.evidence.canonical import canonical

_MODE = 0o600


class Journal:
    """Writes lines; `record` returns when its line is durable. Use it as a context."""

    def __init__(self, folder: Path, today: Callable[[], str]) -> None:
        self._folder, self._today = folder, today
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._broken: str | None = None

    async def __aenter__(self) -> Journal:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(f"AUDIT_JOURNAL_DIR: {error.strerror}") from error
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def record(self, entry: dict[str, Any]) -> None:
        """Append one entry. `StateError` when it cannot be made durable: then nothing is told."""
        if self._broken is not None:
            raise StateError(f"the access journal cannot be written: {self._broken}")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((canonical(entry) + b"\n", done))
        self._news.set()
        await done

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            batch, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._append, b"".join(line for line, _ in batch))
            except OSError as error:
                self._broken = error.strerror or type(error).__name__
                failure = StateError(f"the access journal cannot be written: {self._broken}")
                for _, done in batch:
                    if not done.done():
                        done.set_exception(failure)
                continue
            for _, done in batch:
                if not done.done():
                    done.set_result(None)

    def _append(self, data: bytes) -> None:
        path = self._folder / f"access-{self._today()}.jsonl"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _MODE)
        try:
            if os.write(handle, data) != len(data):
                raise OSError(0, "a short write")
            os.fsync(handle)
        finally:
            os.close(handle)

"""The access journal: every read is on disk before its answer leaves (HIPAA 164.312(b)).

One fsync for all requests that wait. Once a minute what was written is closed as a part, which
`sealing` puts into the archive. A look-up by customer stores no identifier.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from audit_stream.errors import ConfigError, StateError
from audit_stream.evidence.canonical import canonical
from audit_stream.gateway.parts import PartFiles

log = logging.getLogger(__name__)
_RECORD_SECONDS = 10.0


class Journal:
    """Writes lines; `record` returns when its line is durable. Use it as a context."""

    def __init__(self, folder: Path, archive: str) -> None:
        self.folder = folder
        self._files = PartFiles(folder, archive)
        self._thread = ThreadPoolExecutor(1, "journal")  # one: what it does is in order
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._news = asyncio.Event()
        self._ending = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Journal:
        try:
            await self._do(self._files.open)
        except OSError as error:
            raise ConfigError(f"AUDIT_JOURNAL_DIR: {error.strerror}") from error
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending = True
        self._news.set()
        if self._task is not None:
            await self._task
        try:
            await self._do(self._files.close)
        except OSError as error:  # the next start closes the part
            log.warning("%s", _failure(error))
        self._thread.shutdown()

    async def record(self, entry: dict[str, Any]) -> None:
        """Append one entry. `StateError` when it cannot be made durable in time: then nothing is
        told, though it may come to stand there."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (canonical(entry) + b"\n", done)
        self._waiting.append(waiting)
        self._news.set()
        try:
            async with asyncio.timeout(_RECORD_SECONDS):
                await done
        except TimeoutError:
            if waiting in self._waiting:  # behind one that hangs
                self._waiting.remove(waiting)
            raise StateError("the access journal cannot be written in time") from None

    async def roll(self) -> None:
        """Close the part that is being written, if anything is in it."""
        try:
            await self._do(self._files.roll)
        except OSError as error:
            raise _failure(error) from error

    async def _do(self, call: Callable[..., Any], *given: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, call, *given)

    async def _run(self) -> None:
        while self._waiting or not self._ending:
            await self._news.wait()
            self._news.clear()
            batch, self._waiting = self._waiting, []
            failure = await self._write(b"".join(line for line, _ in batch))
            for _, done in batch:
                if not done.done():
                    done.set_result(None) if failure is None else done.set_exception(failure)

    async def _write(self, data: bytes) -> StateError | None:
        try:
            await self._do(self._files.append, data)
        except Exception as error:  # whatever it is: who waits is told, and the next is tried
            return _failure(error)
        return None


def _failure(error: Exception) -> StateError:
    why = getattr(error, "strerror", None) or type(error).__name__
    return StateError(f"the access journal cannot be written: {why}")

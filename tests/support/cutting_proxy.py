"""A TCP proxy before an HTTP server that loses a PUT, or the answer to one, when told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Literal

Cut = Literal["before", "after"]
_CHUNK = 1 << 16


class CuttingProxy:
    """Relays bytes; the next PUT after `cut` loses its connection before it is passed on, or
    after the server has answered it."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.cut: Cut | None = None
        self.puts = 0  # that came in, cut ones included

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        losing = asyncio.Event()  # the next answer on this connection is lost
        try:
            async with asyncio.TaskGroup() as group:
                to = self._relay(reader, up_writer, lambda data: self._to(data, losing))
                group.create_task(to)
                group.create_task(self._relay(up_reader, writer, lambda _: losing.is_set()))
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            for each in (writer, up_writer):
                each.transport.abort()
                with contextlib.suppress(OSError):
                    await each.wait_closed()
            self._tasks.discard(task)

    def _to(self, data: bytes, losing: asyncio.Event) -> bool:
        """Whether to cut the connection instead of passing a request's first bytes on."""
        if not data.startswith(b"PUT "):
            return False
        self.puts += 1
        cut, self.cut = self.cut, None
        if cut == "after":
            losing.set()
        return cut == "before"

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
        cuts: Callable[[bytes], bool],
    ) -> None:  # fmt: skip
        while data := await reader.read(_CHUNK):
            if cuts(data):
                raise ConnectionResetError("cut")
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
        raise ConnectionResetError("one side is done")

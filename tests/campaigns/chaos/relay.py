"""One TCP proxy: bytes come late, are held, or their connections are reset."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterable
from typing import Literal

Way = Literal["requests", "answers"]
#: Held bytes wait here and in the kernel; then the sender's own buffer fills, as in a partition.
_CHUNKS, _CHUNK = 64, 1 << 16
_RST = struct.pack("ii", 1, 0)  # linger for no time: the peer is told by a reset, not by an end


class Relay:
    """Passes on to `upstream` what comes in; every method belongs to the loop it listens in.

    A connection is always accepted. Its bytes, its end and the connection to `upstream` itself
    are what is late or held: whoever connects into a partition waits for an answer.
    """

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._delay = 0.0
        self._held: frozenset[Way] = frozenset()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    async def listen(self, host: str, port: int) -> int:
        """Begin, at a free port if it is 0; which one it is."""
        self._server = await asyncio.start_server(self._serve, host, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def delay(self, seconds: float) -> None:
        """From now on each chunk of bytes arrives so much later, whichever way it goes."""
        self._delay = seconds
        self._change()

    def hold(self, ways: Iterable[Way]) -> None:
        """Hold what goes these ways and let the other go."""
        self._held = frozenset(ways)
        self._change()

    def reset(self) -> None:
        """Break every connection on both of its sides, with RST."""
        for task, writers in list(self._connections.items()):
            _end_with_reset(writers)
            task.cancel()

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writers = [writer]
        try:
            await self._passable("requests", asyncio.get_running_loop().time())
            up_reader, up_writer = await asyncio.open_connection(*self._upstream)
            writers.append(up_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump("requests", reader, up_writer))
                group.create_task(self._pump("answers", up_reader, writer))
        except* OSError:
            _end_with_reset(writers)  # one side was, or there is nobody on it
        except* asyncio.CancelledError:
            pass
        finally:
            del self._connections[task]
            for each in writers:
                each.transport.abort()
                with contextlib.suppress(OSError):
                    await each.wait_closed()

    async def _pump(
        self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        came: asyncio.Queue[tuple[float, bytes | None]] = asyncio.Queue(_CHUNKS)
        async with asyncio.TaskGroup() as group:
            group.create_task(_receive(reader, came))
            group.create_task(self._send(way, came, writer))

    async def _send(
        self, way: Way, came: asyncio.Queue[tuple[float, bytes | None]],
        writer: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        while True:
            when, data = await came.get()
            await self._passable(way, when)
            if data is None:
                raise ConnectionResetError("the other side was reset")
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    async def _passable(self, way: Way, came: float) -> None:
        """Return when what came then may go on."""
        loop = asyncio.get_running_loop()
        while True:
            rest = came + self._delay - loop.time()
            if way not in self._held and rest <= 0:
                return
            limit = None if way in self._held else rest
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), limit)


async def _receive(
    reader: asyncio.StreamReader, came: asyncio.Queue[tuple[float, bytes | None]]
) -> None:
    """Note when each chunk came; an empty one is the end, None a reset."""
    data: bytes | None = b"at least once"
    while data:
        try:
            data = await reader.read(_CHUNK)
        except ConnectionError:
            data = None
        await came.put((asyncio.get_running_loop().time(), data))


def _end_with_reset(writers: Iterable[asyncio.StreamWriter]) -> None:
    for writer in writers:
        sock = writer.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)

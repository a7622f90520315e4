"""A Kafka bootstrap address that can say what a broker says which has only just started: that
there is no broker yet, or none that coordinates. Else it passes everything on to a real one."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.protocol.admin import ApiVersionResponse_v0
from aiokafka.protocol.coordination import FindCoordinatorResponse_v1
from aiokafka.protocol.metadata import MetadataResponse_v0

_VERSIONS = ApiVersionResponse_v0(0, [(18, 0, 0), (3, 0, 0), (10, 0, 1), (22, 0, 1)]).encode()
_NOT_AVAILABLE = 15
_NO_COORDINATOR = FindCoordinatorResponse_v1(0, _NOT_AVAILABLE, "", -1, "", -1).encode()
_CHUNK = 1 << 16


class StartingBroker:
    """`starting` is asked at each new connection; `known`: then it names itself, as a broker."""

    def __init__(self, upstream: str) -> None:
        host, _, port = upstream.removeprefix("kafka://").rpartition(":")
        self._upstream = host, int(port)
        self.starting = self.known = False
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            if self.starting:
                await self._answer(reader, writer)
            else:
                up_reader, up_writer = await asyncio.open_connection(*self._upstream)
                await asyncio.gather(_pass(reader, up_writer), _pass(up_reader, writer))
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await reader.readexactly(*struct.unpack(">i", await reader.readexactly(4)))
            answer = request[4:8] + self._answers()[struct.unpack_from(">h", request)[0]]
            writer.write(struct.pack(">i", len(answer)) + answer)

    def _answers(self) -> dict[int, bytes]:
        """By the API's number."""
        itself = (0, "127.0.0.1", int(self.url.rpartition(":")[2]))
        brokers = MetadataResponse_v0([itself] if self.known else [], []).encode()
        return {18: _VERSIONS, 3: brokers, 10: _NO_COORDINATOR}


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def starting_broker(upstream: str) -> AsyncIterator[StartingBroker]:
    """In front of the broker at `upstream`."""
    broker = StartingBroker(upstream)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.url = f"kafka://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield broker
    finally:
        server.close()

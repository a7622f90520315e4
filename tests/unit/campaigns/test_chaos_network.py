"""The network of proxies: late, held in either direction, reset, and whole again."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.campaigns.chaos.network import Direction, Network
from tests.support.eventually import eventually

HOST = "127.0.0.1"
LATE = 0.2
#: So long nothing may come. A proxy that does not hold passes on within a millisecond.
QUIET = 0.3


class Echo:
    """A server that says back what it heard, and remembers it."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while data := await reader.read(1 << 16):
                self.heard += data
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        self.ended += 1
        writer.close()


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[Echo, int]]:
    echo = Echo()
    async with await asyncio.start_server(echo.serve, HOST, 0) as server:
        try:
            yield echo, server.sockets[0].getsockname()[1]
        finally:
            for writer in echo.writers:
                writer.transport.abort()
            await asyncio.gather(
                *(each.wait_closed() for each in echo.writers), return_exceptions=True
            )


class Client:
    """One connection to a proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def says(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hears(self, data: bytes) -> None:
        assert await asyncio.wait_for(self.reader.readexactly(len(data)), 10) == data

    async def hears_nothing(self) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self.reader.read(1), QUIET)


@asynccontextmanager
async def client(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as found:
        yield found


async def test_bytes_pass_both_ways_and_so_does_the_end(network: Network) -> None:
    async with echoing() as (echo, port), client(network.add(1, port)) as one:
        much = bytes(range(256)) * 4096
        await asyncio.gather(one.says(much), one.hears(much))
        one.writer.write_eof()
        assert await one.reader.read() == b""
        assert echo.heard == much


async def test_a_delay_is_each_way_and_keeps_the_order(network: Network) -> None:
    async with echoing() as (_, port), client(network.add(1, port)) as one:
        await one.says(b"a")
        await one.hears(b"a")
        network.delay(1, LATE)
        began = time.monotonic()
        for each in (b"b", b"c", b"d"):
            await one.says(each)
        await one.hears(b"bcd")
        assert 2 * LATE <= time.monotonic() - began < 10 * LATE


async def test_healing_lets_go_what_is_late(network: Network) -> None:
    async with echoing() as (_, port), client(network.add(1, port)) as one:
        network.delay(1, 3600)
        await one.says(b"a")
        await one.hears_nothing()
        network.heal()
        await one.hears(b"a")


@pytest.mark.parametrize("direction", ["requests", "both"])
async def test_held_requests_do_not_arrive_before_it_heals(
    network: Network, direction: Direction
) -> None:
    async with echoing() as (echo, port), client(network.add(1, port)) as one:
        await one.says(b"a")
        await one.hears(b"a")
        network.partition(1, direction)
        await one.says(b"b")
        await one.hears_nothing()
        assert echo.heard == b"a"
        network.heal()
        await one.hears(b"b")


async def test_held_answers_are_to_requests_that_arrived(network: Network) -> None:
    async with echoing() as (echo, port), client(network.add(1, port)) as one:
        network.partition(1, "answers")
        await one.says(b"a")

        async def arrived() -> bool:
            return echo.heard == b"a"

        await eventually(arrived)
        await one.hears_nothing()
        network.heal()
        await one.hears(b"a")


async def test_who_connects_into_a_partition_hangs_until_it_heals(network: Network) -> None:
    async with echoing() as (echo, port):
        proxy = network.add(1, port)
        network.partition(1)
        async with client(proxy) as one:
            await one.says(b"a")
            await one.hears_nothing()
            assert echo.heard == b""
            network.heal()
            await one.hears(b"a")


async def test_a_server_hears_of_an_end_only_after_the_partition(network: Network) -> None:
    async with echoing() as (echo, port):
        async with client(network.add(1, port)) as one:
            await one.says(b"a")
            await one.hears(b"a")
            network.partition(1)
        await asyncio.sleep(QUIET)  # what does not happen has no moment to wait for
        assert echo.ended == 0
        network.heal()

        async def ended() -> bool:
            return echo.ended == 1

        await eventually(ended)


async def test_a_reset_is_one_and_the_next_connection_is_served(network: Network) -> None:
    async with echoing() as (_, port):
        proxy = network.add(1, port)
        async with client(proxy) as one:
            await one.says(b"a")
            await one.hears(b"a")
            network.reset(1)
            with pytest.raises(ConnectionResetError):
                await one.reader.read()
        async with client(proxy) as two:
            await two.says(b"b")
            await two.hears(b"b")


async def test_a_server_that_is_away_resets_the_connection(network: Network) -> None:
    async with echoing() as (_, port):
        proxy = network.add("store", port)
    with pytest.raises(ConnectionResetError):
        async with client(proxy) as one:
            await asyncio.wait_for(one.reader.read(), 10)


async def test_what_is_done_to_one_leaves_the_others_alone(network: Network) -> None:
    async with echoing() as (_, port):
        first, second = network.add(1, port), network.add(2, port)
        async with client(first) as one, client(second) as two:
            network.partition(1)
            await one.says(b"a")
            await two.says(b"b")
            await two.hears(b"b")
            await one.hears_nothing()


async def test_isolating_cuts_the_ways_between_servers_and_no_other(network: Network) -> None:
    async with echoing() as (_, port):
        proxies = {name: network.add(name, port) for name in (1, (1, 2), (2, 1), (2, 3))}
        network.isolate(1)
        for name in ((1, 2), (2, 1)):
            async with client(proxies[name]) as cut:
                await cut.says(b"a")
                await cut.hears_nothing()
        for name in (1, (2, 3)):
            async with client(proxies[name]) as whole:
                await whole.says(b"b")
                await whole.hears(b"b")


def test_a_busy_owner_slows_no_byte_down(network: Network) -> None:
    """Whoever blocks its own thread, as a check of an archive does, is still served by it."""
    with socket.create_server((HOST, 0)) as server:
        proxy = network.add(1, server.getsockname()[1])
        with socket.create_connection((HOST, proxy), timeout=10) as one:
            one.sendall(b"a")
            accepted, _ = server.accept()
            with accepted:
                assert accepted.recv(1) == b"a"


async def test_it_ends_with_connections_open() -> None:
    async with echoing() as (_, port):
        with Network() as network:
            proxy = network.add(1, port)
            async with client(proxy) as one:
                await one.says(b"a")
                await one.hears(b"a")
                network.partition(1)
                await one.says(b"b")
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(HOST, proxy)

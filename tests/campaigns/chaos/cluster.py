"""A real Kafka of three nodes, whose nodes and network fail when told to."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError

from audit_stream.errors import BrokerError
from audit_stream.kafka.embedded import free_ports, fresh_cluster_id
from tests.campaigns.chaos.asking import Partition, asking, elect, prefer, view
from tests.campaigns.chaos.network import Network
from tests.campaigns.chaos.node import Node, Ports, address

#: Three JVMs start on a machine that may be busy; a limit costs nothing where it is not.
LIMIT_SECONDS = 300.0
_HOST = "127.0.0.1"
_POLL_SECONDS = 0.1
_SEEN_SECONDS = 10.0
_T = TypeVar("_T")


class Cluster:
    """Nodes 1 to `nodes`, each broker and controller, with their data under `folder`.

    Clients and nodes reach a node through `network` only. What happens to a node is undone by
    `start` and `resume`, what happens to the network by its `heal`; nothing outlives the block.
    """

    def __init__(self, folder: Path, nodes: int = 3) -> None:
        self.network = Network()
        drawn = iter(free_ports(4 * nodes))
        self._ports = {
            n: Ports(client=next(drawn), internal=next(drawn), controller=next(drawn),
                     proxy=next(drawn))
            for n in range(1, nodes + 1)
        }  # fmt: skip
        cluster_id = fresh_cluster_id()
        self.nodes = {
            n: Node(folder / f"node-{n}", n, self._ports, cluster_id) for n in self._ports
        }

    @property
    def url(self) -> str:
        """``kafka://`` with every node's address for clients, as our settings want it."""
        return "kafka://" + ",".join(f"{_HOST}:{each.proxy}" for each in self._ports.values())

    async def __aenter__(self) -> Self:
        self.network.__enter__()
        try:
            self._wire()
            await asyncio.gather(*(self.start(n) for n in self.nodes))
            await self._until(self._has_groups, LIMIT_SECONDS, "groups have no coordinator")
            await self.healthy()
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def kill(self, n: int) -> None:
        """End it with SIGKILL."""
        self.nodes[n].kill()

    async def start(self, n: int) -> None:
        """Start it, with the data it has; on return the cluster counts on it again."""
        await self.nodes[n].start(limit_seconds=LIMIT_SECONDS)

    async def stop(self, n: int) -> None:
        """End it with SIGTERM: it hands its leaders over first."""
        await self.nodes[n].stop()

    def pause(self, n: int) -> None:
        """Freeze it with SIGSTOP."""
        self.nodes[n].pause()

    def resume(self, n: int) -> None:
        """Let it go on."""
        self.nodes[n].resume()

    async def healthy(self, limit: float = LIMIT_SECONDS) -> None:
        """Return when every node says that all nodes are there and all replicas are in sync.

        Raises BrokerError with what is missing when that takes more than `limit` seconds.
        """
        missing = "nothing was asked"

        async def whole() -> bool:
            nonlocal missing
            missing = await self._missing()
            return not missing

        await self._until(whole, limit, lambda: missing)

    async def leaders(self, topic: str) -> dict[int, int]:
        """Who leads each partition, as a node that answers knows; -1 is nobody."""
        return {index: part.leader for index, part in (await self._partitions(topic)).items()}

    async def move_leaders(
        self, topic: str, to: Mapping[int, int] | random.Random
    ) -> dict[int, int]:
        """Make node `to[partition]` lead that partition, or let a generator choose among the
        replicas in sync that do not lead yet. Who leads what was to move, afterwards: where the
        wanted one is not in sync, that is whoever did before.
        """
        parts = await self._partitions(topic)
        wanted = dict(to) if isinstance(to, Mapping) else _chosen(parts, to)
        orders = {
            index: [leader, *(n for n in parts[index].replicas if n != leader)]
            for index, leader in wanted.items()
        }
        moved = await self._ask(lambda node: _move(node, topic, orders)) if orders else []

        async def seen() -> bool:
            found = await self.leaders(topic)
            return all(found[index] == wanted[index] for index in moved)

        with contextlib.suppress(BrokerError):  # lost again before anybody saw it
            await self._until(seen, _SEEN_SECONDS, "a leader that moved is not seen")
        found = await self.leaders(topic)
        return {index: found[index] for index in wanted}

    def _wire(self) -> None:
        for n, ports in self._ports.items():
            self.network.add(n, ports.client, port=ports.proxy)
            for other in self._ports.keys() - {n}:
                for port in (ports.internal, ports.controller):
                    self.network.add((other, n), port, host=address(other, n), port=port)

    def _end(self) -> None:
        for node in self.nodes.values():
            node.kill()
        self.network.__exit__(None, None, None)

    async def _ask(self, work: Callable[[AIOKafkaConnection], Awaitable[_T]]) -> _T:
        """What the first node says that can: one that is cut off from the others cannot."""
        failed: Exception | None = None
        for node in self.nodes.values():
            if node.answers:
                try:
                    async with asking(node.port) as connection:
                        return await work(connection)
                except (KafkaError, OSError, TimeoutError) as error:
                    failed = error
        raise BrokerError(f"no node of the cluster answers: {failed!r}") from failed

    async def _partitions(self, topic: str) -> dict[int, Partition]:
        seen = await self._ask(view)
        return {each.index: each for each in seen.partitions if each.topic == topic}

    async def _missing(self) -> str:
        """What keeps the cluster from being whole; empty when it is."""
        for n, node in self.nodes.items():
            seen = await node.seen() if node.answers else None
            if seen is None:
                return f"node {n} does not answer"
            if away := self.nodes.keys() - seen.brokers:
                return f"node {n} counts on no node {sorted(away)}"
            for part in seen.partitions:
                if part.leader < 0 or part.in_sync != set(part.replicas):
                    return f"node {n} says of {part.topic}: {part}"
        return ""

    async def _has_groups(self) -> bool:
        servers = self.url.removeprefix("kafka://")
        admin = AIOKafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=5000)
        try:
            await admin.start()
            response, *_ = await admin.describe_consumer_groups(["readiness"])
        except (KafkaError, OSError, TimeoutError):
            return False
        finally:
            await admin.close()
        return all(code == 0 for code, *_ in response.groups)

    async def _until(
        self, holds: Callable[[], Awaitable[bool]], limit: float, lacks: str | Callable[[], str]
    ) -> None:
        deadline = time.monotonic() + limit
        while not await holds():
            if time.monotonic() > deadline:
                what = lacks if isinstance(lacks, str) else lacks()
                raise BrokerError(f"the cluster is not whole after {limit:.0f} s: {what}")
            await asyncio.sleep(_POLL_SECONDS)


async def _move(
    node: AIOKafkaConnection, topic: str, orders: Mapping[int, Sequence[int]]
) -> list[int]:
    await prefer(node, topic, orders)
    return await elect(node, topic, list(orders))


def _chosen(parts: Mapping[int, Partition], rng: random.Random) -> dict[int, int]:
    others = {index: sorted(part.in_sync - {part.leader}) for index, part in parts.items()}
    return {index: rng.choice(nodes) for index, nodes in sorted(others.items()) if nodes}

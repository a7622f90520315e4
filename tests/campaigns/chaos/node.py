"""One node of the cluster: broker and controller, reached through proxies alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiokafka.errors import KafkaError

from audit_stream.kafka.embedded import EmbeddedKafka
from tests.campaigns.chaos.asking import View, asking, view

HEAP_MB = 300
#: A node lives for minutes: it does not pay to compile much.
_QUICK = ("-XX:TieredStopAtLevel=1",)
_HOST = "127.0.0.1"
_LISTENERS = ("CLIENT", "INTERNAL", "CONTROLLER")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where a node listens, and where its clients find the proxy before it."""

    client: int
    internal: int
    controller: int
    proxy: int


def address(source: int, target: int) -> str:
    """The loopback address of what stands between two nodes; its ports are the target's own."""
    return f"127.1.{source}.{target}"


class Node(EmbeddedKafka):
    """Node `number` of as many as `ports` has.

    Nodes know each other by name (``node-2``), and each has a hosts file of its own, where the
    others' names mean the proxies that stand between this node and them.
    """

    def __init__(self, folder: Path, number: int, ports: dict[int, Ports], cluster_id: str) -> None:
        self.number = number
        self.paused = False
        self._hosts = folder / "hosts"
        self._nodes = len(ports)
        super().__init__(
            folder, port=ports[number].client, heap_mb=HEAP_MB, cluster_id=cluster_id,
            overrides=properties(number, ports),
            jvm_options=[f"-Djdk.net.hosts.file={self._hosts}", *_QUICK],
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self._hosts.write_text(hosts(number, self._nodes), "ascii")

    @property
    def port(self) -> int:
        """Of the listener for clients, past the proxy."""
        return self._port

    @property
    def answers(self) -> bool:
        """Whether it runs and is not frozen."""
        return self.is_running and not self.paused

    def kill(self) -> None:
        super().kill()
        self.paused = False

    def pause(self) -> None:
        super().pause()
        self.paused = True

    def resume(self) -> None:
        super().resume()
        self.paused = False

    async def seen(self) -> View | None:
        """The cluster as this node sees it; None when it does not answer."""
        try:
            async with asking(self._port) as connection:
                return await view(connection)
        except (KafkaError, OSError, TimeoutError):
            return None

    async def _wait_ready(self, deadline: float) -> None:
        """It takes part: what groups need may be at a node that is away."""

        async def takes_part() -> bool:
            found = await self.seen()
            return found is not None and self.number in found.brokers

        await self._poll(takes_part, "did not become part of the cluster in time", deadline)


def hosts(number: int, nodes: int) -> str:
    """What names mean to a node."""
    others = {n: address(number, n) for n in range(1, nodes + 1)} | {number: _HOST}
    lines = [f"{host} node-{n}\n" for n, host in others.items()]
    return "".join([f"{_HOST} localhost\n", *lines])


def properties(number: int, ports: dict[int, Ports]) -> dict[str, str]:
    """Replicated as in production; who is lost is noticed in seconds, not in half a minute."""
    own, name = ports[number], f"node-{number}"
    bound = {"CLIENT": own.client, "INTERNAL": own.internal, "CONTROLLER": own.controller}
    peers = f"INTERNAL://{name}:{own.internal},CONTROLLER://{name}:{own.controller}"
    voters = (f"{n}@node-{n}:{each.controller}" for n, each in ports.items())
    replicas, in_sync = str(len(ports)), str(len(ports) // 2 + 1)
    return {
        "node.id": str(number),
        "controller.quorum.voters": ",".join(voters),
        "listeners": ",".join(f"{kind}://{_HOST}:{port}" for kind, port in bound.items()),
        "advertised.listeners": f"CLIENT://{_HOST}:{own.proxy},{peers}",
        "inter.broker.listener.name": "INTERNAL",
        "listener.security.protocol.map": ",".join(f"{kind}:PLAINTEXT" for kind in _LISTENERS),
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        "auto.leader.rebalance.enable": "false",  # leaders move when the campaign says so
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "6000",
        "controller.quorum.fetch.timeout.ms": "4000",
        "controller.quorum.election.timeout.ms": "1000",
        "controller.quorum.request.timeout.ms": "3000",
        "replica.lag.time.max.ms": "10000",
        "replica.socket.timeout.ms": "5000",
        "group.initial.rebalance.delay.ms": "500",
    }

"""Where alerts are provoked: installations of real workers on one broker, and what is scraped."""

from __future__ import annotations

import asyncio
import functools
import http.server
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import UUID

import aiohttp
from aiokafka import AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from audit_stream.gateway.caller import SCOPES
from audit_stream.gateway.tokens import TokenFile
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.embedded import free_ports
from audit_stream.kafka.partitioner import partition_of
from tests.support.events import Line
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.siem import TOKEN, Mode, Siem
from tests.support.switched_worker import Switches

SECONDS_OF_DAY = 86_400
NOTARY, GATEWAY, HOLDER, ERASER, DELIVERER, MIRROR = 9, 10, 11, 12, 13, 14  # behind every worker


class Installation(Fleet):
    """A fleet whose workers have known web ports; its notary and gateway are of them."""

    ports: dict[int, int]  # by index
    faults: Switches
    receiver: Siem  # of its records, where it has one

    @property
    def jobs(self) -> dict[str, list[int]]:
        """What is scraped, as deploy/monitoring/prometheus.yaml has it: an archive's notaries are
        a job of their own."""
        jobs = {
            NOTARY: self.log_job, GATEWAY: "audit-stream-gateway", HOLDER: "audit-stream-keeper",
            ERASER: "audit-stream-keeper", DELIVERER: "audit-stream-deliverer",
            MIRROR: "audit-stream-mirror",
        }  # fmt: skip
        found: dict[str, list[int]] = {}
        for index, port in self.ports.items():
            found.setdefault(jobs.get(index, "audit-stream"), []).append(port)
        return found

    @property
    def log_job(self) -> str:
        return f"notary-of-{self.prefix}"

    def run(self, index: int, *tampering: str) -> None:
        self.extra["AUDIT_WEB_PORT"] = str(self.ports[index])
        self.start(index, *tampering)

    def run_switched(self) -> None:
        self.run(0, "switched", str(self.folder / "faults"))

    def run_notary(self) -> None:
        self.run(NOTARY, "notary", str(self.folder / "faults"))

    def run_gateway(self) -> None:
        self.run(GATEWAY, "gateway", str(self.folder / "faults"))

    async def ask(self) -> None:
        """Ask the gateway for what nobody sent: it is an entry of its journal."""
        _, token = TokenFile(self.settings.gateway_tokens).create(("*",), SCOPES, None)
        url = f"http://127.0.0.1:{self.settings.gateway_port}/api/v1/audit/notifications"
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
            session.get(url, params={"message_uuid": str(UUID(int=0))}) as answer,
        ):
            assert answer.status == 404, await answer.text()

    def instance(self, index: int) -> dict[str, str]:
        return {"instance": f"127.0.0.1:{self.ports[index]}"}

    async def healthy(self, index: int) -> None:
        await eventually(lambda: self._is(index, "/healthz"), 120)

    async def ready(self, index: int) -> None:
        await eventually(lambda: self._is(index, "/readyz"), 120)

    async def _is(self, index: int, page: str) -> bool:
        assert self.workers[index].poll() is None, self.log()
        return await asyncio.to_thread(_good, f"http://127.0.0.1:{self.ports[index]}{page}")

    async def send_at(
        self, lines: list[Line], timestamp_ms: int | None = None, misplaced: bool = False
    ) -> None:
        """Send with a timestamp of our own, or each into the partition that is not its key's."""
        producer = AIOKafkaProducer(bootstrap_servers=self.settings.bootstrap_servers, acks="all")
        await producer.start()
        try:
            for key, value in lines:
                place = (partition_of(key, 2) + 1) % 2 if misplaced and key else None
                await producer.send(
                    self.topic, value, key, partition=place, timestamp_ms=timestamp_ms
                )
            await producer.flush()
        finally:
            await producer.stop()


def _good(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


async def install(broker: str, folder: Path, name: str, *indices: int) -> Installation:
    folder = folder / name
    (folder / "faults").mkdir(parents=True)
    found = Installation(broker, folder, f"alerts-{name}")
    found.ports = dict(zip(indices, free_ports(len(indices)), strict=True))
    found.faults = Switches(folder / "faults")
    await found.prepare()
    return found


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """A folder over HTTP: node_exporter's textfile collector, as far as it matters here."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        extensions_map = {"": "text/plain"}  # noqa: RUF012

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """No access log."""

    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@asynccontextmanager
async def scene(broker: str, folder: Path) -> AsyncIterator[dict[str, Installation]]:
    """The installations with their workers running."""
    found = {
        name: await install(broker, folder, name, *indices)
        for name, indices in (
            ("store", (0, NOTARY, GATEWAY)), ("records", (0, HOLDER, ERASER, DELIVERER)),
            ("workers", (0, 1)), ("machine", (0,)), ("fork", (0, NOTARY)), ("twin", (0, MIRROR)),
        )
    }  # fmt: skip
    often = {"AUDIT_LOG_BATCH_SECONDS": "1", "AUDIT_LOG_PROBE_SECONDS": "1"}
    found["fork"].extra = dict(often)
    found["store"].extra = often | {
        "AUDIT_BREAKER_ATTEMPTS": "1", "AUDIT_BREAKER_PROBE_SECONDS": "0.3",
        "AUDIT_RAW_RETENTION_DAYS": str(40 / SECONDS_OF_DAY),
        **_gateway_settings(found["store"].folder),
    }  # fmt: skip
    found["records"].receiver = receiver = await asyncio.to_thread(Siem, folder / "siem")
    receiver.be(Mode(status=401))
    found["records"].extra = {
        "AUDIT_QUARANTINE_BRAKE_RUN": "100", "AUDIT_DELIVERY_URL": receiver.url,
        "AUDIT_DELIVERY_TOKEN": TOKEN, "AUDIT_DELIVERY_SYNCHRONOUS": "true",
        "AUDIT_DELIVERY_BRAKE_RUN": "100000", "AUDIT_DELIVERY_POLL_SECONDS": "0.5",
    }  # fmt: skip
    found["workers"].extra = {"AUDIT_SESSION_TIMEOUT_SECONDS": "15"}
    found["machine"].extra = {
        "AUDIT_ALLOW_ASSURANCE": "worm_unlocked", "AUDIT_ASSURANCE_CHECK_SECONDS": "1",
    }  # fmt: skip
    found["twin"].extra = {
        "AUDIT_ARCHIVE_SECONDARY": (found["twin"].folder / "second").as_uri(),
        "AUDIT_SECONDARY_LAG_SECONDS": "6", "AUDIT_BREAKER_ATTEMPTS": "1",
        "AUDIT_BREAKER_PROBE_SECONDS": "0.3",
    }  # fmt: skip
    await own_timestamps(found["records"])
    try:
        for name, fleet in found.items():
            for index in fleet.ports:
                if index == NOTARY:
                    fleet.run_notary()
                elif index == GATEWAY:
                    fleet.run_gateway()
                elif index == HOLDER:
                    fleet.run(HOLDER, "holder")
                elif index == ERASER:
                    fleet.run(ERASER, "eraser")
                elif index == DELIVERER:
                    fleet.run(DELIVERER, "deliverer")
                elif index == MIRROR:
                    fleet.run(MIRROR, "mirror")
                elif name in ("store", "machine"):
                    fleet.run_switched()
                else:
                    fleet.run(index)
        for fleet in found.values():
            for index in fleet.ports:
                await fleet.ready(index)
        yield found
    finally:
        for fleet in found.values():
            await fleet.close()
        receiver.die()


def _gateway_settings(folder: Path) -> dict[str, str]:
    places = {
        "AUDIT_GATEWAY_TOKENS": "tokens.json", "AUDIT_ANSWER_KEYS": "answer-keys",
        "AUDIT_JOURNAL_DIR": "journal", "AUDIT_INDEX_DIR": "index",
    }  # fmt: skip
    return {name: str(folder / "gateway" / place) for name, place in places.items()} | {
        "AUDIT_GATEWAY_PORT": str(free_ports(1)[0]), "AUDIT_JOURNAL_SEAL_SECONDS": "0.5",
        "AUDIT_GATEWAY_REFRESH_SECONDS": "0.5",
    }  # fmt: skip


async def own_timestamps(fleet: Installation) -> None:
    """Let senders say how old their records are."""
    wanted = ConfigResource(
        ConfigResourceType.TOPIC, fleet.topic, configs={"message.timestamp.type": "CreateTime"}
    )
    async with open_admin(KafkaConnection.from_settings(fleet.settings)) as admin:
        await admin.alter_configs([wanted])

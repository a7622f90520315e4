"""A fleet of real workers on a real Kafka, and the checks after a bad day."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from aiokafka import AIOKafkaProducer

from audit_stream.app.places import archive_reader
from audit_stream.archive.coverage import Coverage
from audit_stream.cli.reconcile import cover
from audit_stream.cli.topics import wanted_topics
from audit_stream.cli.verify import archive_verifier, trusted_keys
from audit_stream.evidence.ending import signed_link
from audit_stream.evidence.segment import Segment
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.embedded import free_ports
from audit_stream.kafka.topic_apply import apply_plan, plan_topics
from audit_stream.keys.file import create_keyring
from audit_stream.settings import Settings
from audit_stream.verify.part import Part
from audit_stream.verify.report import Report
from tests.support.events import Line, Oracle

ROOT = Path(__file__).parents[2]
NAME = "test.example/fleet"


@dataclass
class Fleet:
    """One installation: topics of its own on a shared broker, keys, archive, workers."""

    broker: str
    folder: Path
    prefix: str
    partitions: int = 2
    archive: str = "archive"
    app: str = ""
    extra: dict[str, str] = field(default_factory=dict)
    pods: bool = False  # workers have a host name each, and it alone names them
    machine: Mapping[str, str] = field(default_factory=dict)  # environment of workers alone
    workers: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def topic(self) -> str:
        return f"{self.prefix}_status"

    @property
    def environment(self) -> dict[str, str]:
        root = self.folder / self.archive
        return {
            "AUDIT_BROKER": self.broker, "AUDIT_ARCHIVE": root.as_uri(),
            "AUDIT_ARCHIVE_NAME": NAME, "AUDIT_KEYRING": str(self.folder / "keys/keyring.json"),
            "AUDIT_PARTITIONS": str(self.partitions), "AUDIT_REPLICATION": "1",
            "AUDIT_TOPICS": self.topic, "AUDIT_APP_ID": self.app or self.prefix,
            "AUDIT_SEGMENT_MAX_RECORDS": "200", "AUDIT_SEGMENT_MAX_SECONDS": "0.5",
            "AUDIT_ALLOW_ASSURANCE": "mutable", "AUDIT_WEB_PORT": "0",
            "AUDIT_SESSION_TIMEOUT_SECONDS": "6", **self.extra,
        }  # fmt: skip

    @property
    def settings(self) -> Settings:
        fields = {k.removeprefix("AUDIT_").lower(): v for k, v in self.environment.items()}
        return Settings.load(None, **fields)

    async def prepare(self) -> None:
        settings = self.settings
        if isinstance(settings.archive_place, Path):
            settings.archive_place.mkdir(parents=True, exist_ok=True)
        if not settings.keyring.exists():
            create_keyring(settings.keyring, NAME)
        connection = KafkaConnection.from_settings(settings)
        await apply_plan(connection, await plan_topics(connection, wanted_topics(settings)))

    async def send(self, lines: list[Line], topic: str | None = None) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.settings.bootstrap_servers, acks="all")
        await producer.start()
        try:
            futures = [await producer.send(topic or self.topic, value, key) for key, value in lines]
            await asyncio.gather(*futures)
        finally:
            await producer.stop()

    def serve(self) -> int:
        """Give the workers that start from now on a web port to look at; one at a time."""
        port = free_ports(1)[0]
        self.extra["AUDIT_WEB_PORT"] = str(port)
        return port

    def start(self, index: int, *tampering: str) -> subprocess.Popen[bytes]:
        """Start worker `index`; `tampering` goes to `tests.support.bad_worker` instead."""
        if tampering:
            return self.start_module(index, "tests.support.bad_worker", *tampering)
        return self.start_module(index, "audit_stream", "worker")

    def start_module(self, index: int, *module: str) -> subprocess.Popen[bytes]:
        """Run a module with its arguments as worker `index`."""
        environment = os.environ | {
            "AUDIT_STATE_DIR": str(self.folder / f"{self.archive}-state-{index}"),
            "AUDIT_INSTANCE_ID": f"{self.prefix}-{self.archive}-{index}",
            "PYTHONPATH": str(ROOT), **self.machine,
        } | self.environment  # fmt: skip
        host = []
        if self.pods:
            del environment["AUDIT_INSTANCE_ID"]
            host = ["unshare", "--uts", sys.executable, "-m", "tests.support.pod",
                    f"{self.prefix}-{index}"]  # fmt: skip
        log = (self.folder / f"worker-{index}.log").open("ab")
        process = subprocess.Popen(
            [*host, sys.executable, "-m", *module], env=environment, cwd=ROOT, stdout=log,
            stderr=log,
        )  # fmt: skip
        log.close()
        self.workers[index] = process
        return process

    async def ended(self, index: int, limit: float = 60.0) -> int:
        code = await asyncio.wait_for(asyncio.to_thread(self.workers[index].wait), limit)
        del self.workers[index]  # not before: `close` ends what did not end
        return code

    async def stop(self, index: int) -> int:
        self.workers[index].send_signal(signal.SIGTERM)
        return await self.ended(index)

    async def kill(self, index: int) -> None:
        self.workers[index].kill()
        await self.ended(index)

    async def close(self) -> None:
        for index in list(self.workers):
            self.workers[index].send_signal(signal.SIGCONT)
            await self.kill(index)

    def log(self) -> str:
        return "\n".join(
            f"--- {path.name}\n{path.read_text()[-3000:]}" for path in self.folder.glob("*.log")
        )

    async def settled(self, limit: float = 60.0) -> Coverage:
        coverage, _ = await cover(self.settings, limit)
        assert coverage.to_come == 0, f"{coverage.to_come} offsets still to come\n{self.log()}"
        return coverage

    def lines(self) -> list[bytes]:
        """Every archived record line, in the order of segment names."""
        with archive_reader(self.settings) as reader:
            names = reader.names("segments/")
            reader.expect(names)
            keys = trusted_keys(self.settings, [])
            links = (signed_link(reader.get(name) or b"", name, keys) for name in names)
            segments = (link for link in links if isinstance(link, Segment))
            return [line for segment in segments for line in segment.record_lines()]

    async def archived(self, count: int) -> bool:
        """Whether so many records are archived."""
        return await asyncio.to_thread(lambda: len(self.lines()) >= count)

    def verify(self) -> Report:
        with archive_reader(self.settings) as reader:
            verifier = archive_verifier(reader, trusted_keys(self.settings, []), Part())
            for _ in verifier.run():
                pass
        return verifier.report

    async def check(self, oracle: Oracle, limit: float = 60.0) -> Coverage:
        """P1, P2, P5 after whatever happened: nothing missing, nothing twice, verify clean."""
        coverage = await self.settled(limit)
        assert coverage.unexplained == 0
        pubs = [orjson.loads(line)["pub"] for line in self.lines()]
        found = Counter((pub["message_uuid"], pub["delivery_status"]) for pub in pubs)
        assert found == Counter(oracle.archived), self.log()
        assert coverage.totals()["q"] == oracle.quarantined
        report = self.verify()
        assert report.problems == []
        assert report.verdict.value == 0
        return coverage

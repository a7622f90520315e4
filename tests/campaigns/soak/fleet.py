"""Two workers, a notary and a gateway on one real Kafka, each with a port to look at."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit_stream.gateway.caller import SCOPES
from audit_stream.gateway.tokens import TokenFile
from audit_stream.kafka.embedded import EmbeddedKafka, free_ports
from tests.campaigns.soak.plan import Plan
from tests.support.commands import environment
from tests.support.fleet import ROOT, Fleet
from tests.support.sampling import of_metrics, of_process, size_of

WORKERS = ("worker-0", "worker-1")
_NAME = "soak"


@dataclass
class SoakFleet(Fleet):
    """An installation with everything that runs all the time."""

    kafka: EmbeddedKafka | None = None
    ports: dict[str, int] = field(default_factory=dict)
    others: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    gateway_port: int = 0

    def run(self, plan: Plan) -> None:
        """Start all of them; the first worker may be one that has something wrong."""
        for index, name in enumerate(WORKERS):
            self.ports[name] = self.serve()
            self.start(index, *(() if index else plan.tampering))
        self.gateway_port = free_ports(1)[0]
        for name in ("notary", "gateway"):
            self.ports[name] = self.serve()
            self.others[name] = self._started(name)

    def _started(self, name: str) -> subprocess.Popen[bytes]:
        extra = {"AUDIT_STATE_DIR": str(self.folder / f"{name}-state")}
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "audit_stream", name], env=environment(self, **extra),
                cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {
            "AUDIT_GATEWAY_PORT": str(self.gateway_port),
            "AUDIT_GATEWAY_TOKENS": str(self.folder / "tokens.json"),
            "AUDIT_ANSWER_KEYS": str(self.folder / "answer-keys"),
            "AUDIT_INDEX_DIR": str(self.folder / "index"),
            "AUDIT_JOURNAL_DIR": str(self.folder / "journal"),
        }

    def token(self) -> str:
        """One that may ask for everything."""
        _, token = TokenFile(self.folder / "tokens.json").create(("*",), SCOPES, None)
        return token

    def sampled(self) -> dict[str, Any]:
        """Every process, what it says, and the disk. `AssertionError` when one has ended."""
        processes = self.processes()
        ended = [name for name, each in processes.items() if each.poll() is not None]
        assert not ended, f"{ended} ended\n{self.log()}"
        found = {name: of_process(each.pid) for name, each in processes.items()}
        assert self.kafka is not None
        found["broker"] = of_process(self.kafka.pid)
        said = {name: of_metrics(port) for name, port in self.ports.items()}
        return {"processes": found, "metrics": said, "disk": self._disk()}

    def processes(self) -> dict[str, subprocess.Popen[bytes]]:
        """By name."""
        return {name: self.workers[index] for index, name in enumerate(WORKERS)} | self.others

    def _disk(self) -> dict[str, int]:
        assert self.kafka is not None
        logs = self.kafka.log_path.parent / "log"
        return {
            "state": size_of(self.folder.glob(f"{self.archive}-state-*")),
            "changelog": size_of(logs.glob("*changelog*")),
            "raw": size_of(logs.glob(f"{self.topic}-*")),
            "archive": size_of([self.folder / self.archive]),
            "subjects": size_of([self.settings.subjects_path]),
            "index": size_of([self.folder / "index"]),
            "journal": size_of([self.folder / "journal"]),
            "logs": sum(path.stat().st_size for path in self.folder.glob("*.log")),
        }

    async def end(self) -> None:
        """Stop the workers, then who reads what they wrote; each has to end by itself."""
        for index in list(self.workers):
            assert await self.stop(index) == 0, self.log()
        for name, process in self.others.items():
            process.send_signal(signal.SIGTERM)
            code = await asyncio.to_thread(process.wait, 60)
            assert code == 0, f"{name}: {code}\n{self.log()}"

    async def close(self) -> None:
        for process in self.others.values():
            process.kill()
            await asyncio.to_thread(process.wait)
        await super().close()

    async def told(self, *words: str) -> dict[str, Any]:
        """A command's JSON answer, however long it takes."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "audit_stream", *words, "--json", env=environment(self), cwd=ROOT,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        if process.returncode:
            text = f"{out[-2000:].decode()}\n{err[-2000:].decode()}"
            raise AssertionError(f"{words}: {process.returncode}\n{text}")
        answer: dict[str, Any] = json.loads(out)
        return answer


def installed(kafka: EmbeddedKafka, folder: Path, plan: Plan, prefix: str = _NAME) -> SoakFleet:
    """Nothing runs yet."""
    return SoakFleet(
        kafka.url, folder, prefix, plan.partitions, kafka=kafka,
        extra={
            "AUDIT_SEGMENT_MAX_RECORDS": str(plan.segment_records),
            "AUDIT_SEGMENT_MAX_SECONDS": str(plan.segment_seconds),
            "AUDIT_GATEWAY_SEGMENTS_BYTES": str(plan.gateway_bytes),
            "AUDIT_LOG_BATCH_SECONDS": str(plan.log_seconds),
            "AUDIT_SESSION_TIMEOUT_SECONDS": "60",
        },
    )  # fmt: skip


def machine() -> str:
    """Where it ran."""
    system = os.uname()
    return f"{os.cpu_count()} cores, {system.sysname} {system.release}"

"""The processes of a seed: workers and a notary, and who starts them again as Kubernetes would."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audit_stream.kafka.embedded import free_ports
from tests.support.fleet import ROOT, Fleet

_LOOK_SECONDS = 0.2
_BACKOFF_SECONDS = 1.0
#: A worker that is away and back before its session ends keeps its partitions.
_STOP_LIMIT_SECONDS = 90.0
NOTARY = "notary"


@dataclass(frozen=True, slots=True)
class Exit:
    """A process ended: by whom it was asked to, and what it said last."""

    name: str
    code: int
    asked: bool  # killed or stopped by the campaign
    reason: str

    def __str__(self) -> str:
        by = "asked" if self.asked else "by itself"
        return f"{self.name} ended ({self.code}, {by}): {self.reason}"


@dataclass
class Process:
    """One process and what it is started with."""

    name: str
    module: list[str]
    environment: Mapping[str, str]
    log: Path
    wanted: bool = True  # started again when it ends by itself
    running: subprocess.Popen[bytes] | None = None
    starts: int = 0
    asked: bool = False
    exits: list[Exit] = field(default_factory=list)

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.running is not None and self.running.poll() is None:
            return
        self.note_end()
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                [sys.executable, "-m", *self.module], cwd=ROOT, stdout=log, stderr=log,
                env=os.environ | dict(self.environment),
            )  # fmt: skip
        self.wanted, self.asked = True, False
        self.starts += 1

    @property
    def runs(self) -> bool:
        """Whether it does, frozen or not."""
        return self.running is not None and self.running.poll() is None

    def signal(self, number: int, *, asked: bool = False) -> None:
        """Send it a signal, if it runs; `asked`: one that ends it."""
        if self.running is not None and self.running.poll() is None:
            self.asked = self.asked or asked
            self.running.send_signal(number)

    async def end(self, number: int) -> None:
        """End it with a signal, and leave it ended."""
        self.wanted = False
        self.signal(signal.SIGCONT)  # what is frozen cannot obey
        self.signal(number, asked=True)
        await self.ended()

    async def ended(self) -> None:
        """Return once it has ended. `TimeoutError`."""
        if self.running is not None:
            await asyncio.wait_for(asyncio.to_thread(self.running.wait), _STOP_LIMIT_SECONDS)
        self.note_end()

    def note_end(self) -> None:
        """Take note of an end, once."""
        if self.running is None or (code := self.running.poll()) is None:
            return
        self.running = None
        self.exits.append(Exit(self.name, code, self.asked, _last_words(self.log)))


def _last_words(log: Path) -> str:
    """The last two lines; of JSON the message."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return " ".join(_message(line) for line in lines[-2:])


def _message(line: str) -> str:
    try:
        return str(json.loads(line)["message"])[-300:]
    except (ValueError, TypeError, KeyError):
        return line.strip()[-300:]


def state_folder(name: str) -> str:
    """Of a process, below the installation's."""
    return f"archive-state-{name}"


@dataclass
class Crew:
    """Workers by number, and the notary."""

    fleet: Fleet
    own: Path  # the campaign's folder
    machines: Mapping[int, Mapping[str, str]] = field(default_factory=dict)  # worker -> environment
    identities: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of the store
    processes: dict[str, Process] = field(default_factory=dict)

    def worker(self, number: int) -> Process:
        """Made if need be; not started."""
        name = f"worker-{number}"
        if name not in self.processes:
            module = ["tests.campaigns.chaos.worker", str(self.orders(number))]
            self.processes[name] = self._process(name, module, self.machines.get(number, {}))
        return self.processes[name]

    @property
    def notary(self) -> Process:
        """Made if need be; not started."""
        if NOTARY not in self.processes:
            self.processes[NOTARY] = self._process(NOTARY, ["audit_stream", NOTARY], {})
        return self.processes[NOTARY]

    @property
    def workers(self) -> list[Process]:
        """All there ever were."""
        return [each for name, each in self.processes.items() if name != NOTARY]

    def orders(self, number: int) -> Path:
        """What a worker is told to do to itself."""
        return self.own / f"orders-{number}"

    def told_to(self, **settings: str) -> None:
        """Change settings of whatever is started from now on."""
        self.fleet.extra |= settings
        for each in self.processes.values():
            each.environment = {**each.environment, **settings}

    def _process(self, name: str, module: list[str], machine: Mapping[str, str]) -> Process:
        environment = {
            **self.fleet.environment, **self.identities.get(name, {}), **machine,
            "AUDIT_STATE_DIR": str(self.fleet.folder / state_folder(name)),
            "AUDIT_INSTANCE_ID": f"{self.fleet.prefix}-{name}",
            "AUDIT_WEB_PORT": str(free_ports(1)[0]), "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        return Process(name, module, environment, self.fleet.folder / f"{name}.log")

    async def look_after(self) -> None:
        """Start again what ended by itself; runs until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for each in list(self.processes.values()):
                if each.wanted and not each.runs:
                    each.note_end()
                    await asyncio.sleep(_BACKOFF_SECONDS)
                    if each.wanted:
                        each.start()

    @property
    def exits(self) -> list[Exit]:
        """Of all, so far."""
        return [found for each in self.processes.values() for found in each.exits]

    @property
    def restarts(self) -> int:
        """Starts that were not the first."""
        return sum(max(0, each.starts - 1) for each in self.processes.values())

    async def close(self) -> None:
        """Kill whatever runs."""
        for each in self.processes.values():
            await each.end(signal.SIGKILL)

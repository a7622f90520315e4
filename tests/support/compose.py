"""The compose file, rendered by Compose itself and run as plain processes: no engine is needed.

A service's command, environment, secrets and mounts are taken as they are; only host names, ports
and paths are exchanged for ones of this machine, by the table that `Machine` makes.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from audit_stream.kafka.embedded import free_ports
from tests.support.image import Image

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "compose"
COMPOSE = FOLDER / "compose.yaml"
OURS = (
    "init-keyring",
    "init-containers",
    "init-topics",
    "worker-1",
    "worker-2",
    "notary",
    "gateway",
    "deliverer",
    "mirror",
    "cli",
)
PROFILES = ("cli", "second-store", "siem")
_HOST = r"(?:(?<=[/@=])|\A)(?:kafka|azurite|0\.0\.0\.0|127\.0\.0\.1)"
_ADDRESS = re.compile(rf"{_HOST}:(?P<port>\d+)")
_UNITS = {"s": 1, "m": 60}


def program(name: str) -> str:
    """A program that the development extras install beside Python."""
    return str(Path(sys.executable).with_name(name))


def render(*files: Path, **variables: str) -> dict[str, Any]:
    """What `docker compose config` makes of the file: validated, merged, interpolated."""
    named = [word for path in files or (COMPOSE,) for word in ("--file", str(path))]
    profiles = [word for profile in PROFILES for word in ("--profile", profile)]
    done = subprocess.run(
        [program("docker-compose"), *named, *profiles, "config", "--format", "json"],
        capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"], **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr.lower(), done.stderr
    return orjson.loads(done.stdout)


def seconds(duration: str) -> float:
    """``1m30s`` → 90."""
    return sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([sm])", duration))


def ordered(services: dict[str, Any]) -> list[str]:
    """Service names, each behind those it depends on."""
    done: list[str] = []

    def visit(name: str) -> None:
        for needed in services[name].get("depends_on") or {}:
            visit(needed)
        if name not in done:
            done.append(name)

    for name in services:
        visit(name)
    return done


@dataclass
class Machine:
    """Runs services of the rendered `model` under `root`."""

    model: dict[str, Any]
    image: Image
    root: Path
    ports: dict[tuple[str, str], int] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def services(self) -> dict[str, Any]:
        return dict(self.model["services"])

    def port(self, service: str, port: str) -> int:
        """The loopback port that stands for a service's port."""
        if (service, port) not in self.ports:
            self.ports[service, port] = free_ports(1)[0]
        return self.ports[service, port]

    def here(self, text: str, service: str) -> str:
        """`text` as it is on this machine: addresses, lone ports and hosts, paths."""
        text = _ADDRESS.sub(lambda found: self._address(found, service), text)
        if re.fullmatch(r"\d{4,5}", text):
            return str(self.port(service, text))
        if text == "0.0.0.0":
            return "127.0.0.1"
        for target, source in self._mounts(service):
            if text == target or text.startswith(target + "/"):
                return str(source) + text[len(target) :]
        return self.image.here(text)

    def _address(self, found: re.Match[str], service: str) -> str:
        name = found[0].partition(":")[0]
        owner = name if name in self.services else service
        return f"127.0.0.1:{self.port(owner, found['port'])}"

    def _mounts(self, service: str) -> Iterator[tuple[str, Path]]:
        for mount in self.services[service].get("volumes") or ():
            source = Path(mount["source"])
            if mount["type"] == "volume":
                source = self.root / "volumes" / source
                source.mkdir(parents=True, exist_ok=True, mode=0o700)
            elif source.name == "prometheus.yaml":
                source = self._scraping(source, service)
            yield mount["target"], source
        for secret in self.services[service].get("secrets") or ():
            yield f"/run/secrets/{secret['source']}", self._secret(secret["source"], service)

    def _scraping(self, source: Path, service: str) -> Path:
        """Prometheus' configuration with the targets and rules of this machine."""
        target = self.root / source.name
        mounts = {m["target"]: m["source"] for m in self.services[service]["volumes"]}
        text = source.read_text("utf-8")
        names = "|".join(map(re.escape, self.services))
        text = re.sub(rf"\b({names}):(\d+)", lambda f: f"127.0.0.1:{self.port(f[1], f[2])}", text)
        text = re.sub(r"\blocalhost:(\d+)", lambda f: f"127.0.0.1:{self.port(service, f[1])}", text)
        rules = "/etc/prometheus/rules"
        target.write_text(text.replace(rules, mounts[rules]), "utf-8")
        return target

    def _secret(self, name: str, service: str) -> Path:
        """The secret's file; what is an address in it is exchanged, too."""
        target = self.root / "secrets" / name
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            text = Path(self.model["secrets"][name]["file"]).read_text("utf-8")
            target.write_text(_ADDRESS.sub(lambda f: self._address(f, service), text), "utf-8")
        return target

    def environment(self, service: str) -> dict[str, str]:
        """All that a container has: nothing of this process's own but where programs lie."""
        found = self.services[service]
        ours = service in OURS
        merged = {**(self.image.environment if ours else {}), **(found.get("environment") or {})}
        named = {k: self.here(str(v), service) for k, v in merged.items()}
        return {**named, "PATH": self.image.path if ours else os.environ["PATH"]}

    def command(self, service: str, *arguments: str) -> list[str]:
        """Entry point and command; `arguments` take the command's place, as `run` has it."""
        found = self.services[service]
        entrypoint = found.get("entrypoint") or (self.image.entrypoint if service in OURS else [])
        command = found.get("command") or (self.image.command if service in OURS else [])
        words = [*entrypoint, *(arguments or command)]
        return [self.here(word.replace("$$", "$"), service) for word in words]

    def start(self, service: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start it; what it says goes to a log."""
        folder = self.root / "folders" / service
        folder.mkdir(parents=True, exist_ok=True)
        environment = self.environment(service)
        first, *rest = self.command(service, *arguments)
        found = shutil.which(first, path=environment["PATH"])
        assert found is not None, f"{service}: no {first}"
        with self.log(service).open("ab") as log:
            process = subprocess.Popen(
                [found, *rest], env=environment, cwd=folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
        self.processes[service] = process
        return process

    def run(self, service: str, *arguments: str, limit: float = 100) -> str:
        """Run it to its end, which must be a good one; what it said since the machine began."""
        code = self.start(service, *arguments).wait(limit)
        said = self.log(service).read_text("utf-8")
        assert code == 0, f"{service} {arguments}: {code}\n{said}"
        return said

    def within(self, service: str, *words: str) -> str:
        """What a command says on stdout that is run inside the container, as `exec` does."""
        environment = self.environment(service)
        found = shutil.which(words[0], path=environment["PATH"])
        assert found is not None, words
        done = subprocess.run(
            [found, *words[1:]], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def healthy(self, service: str) -> bool:
        """Whether the service's own health check passes now."""
        kind, *words = self.services[service]["healthcheck"]["test"]
        assert kind == "CMD"
        environment = self.environment(service)
        found = shutil.which(words[0], path=environment["PATH"])
        assert found is not None, words
        words = [found, *(self.here(word, service) for word in words[1:])]
        return subprocess.run(words, env=environment, capture_output=True).returncode == 0

    def stop(self, service: str) -> int:
        """As an engine does: the stop signal, and the grace period to end in."""
        process = self.processes.pop(service)
        process.send_signal(signal.SIGTERM)
        return process.wait(seconds(self.services[service]["stop_grace_period"]))

    def log(self, service: str) -> Path:
        return self.root / f"{service}.log"

    def logs(self, services: Iterable[str] = OURS) -> str:
        logs = [self.log(name) for name in services if self.log(name).exists()]
        return "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in logs)

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()

"""A real Prometheus and Alertmanager on the shipped files, and their tools.

`.ci/run` installs them (Debian: prometheus, prometheus-alertmanager).
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from audit_stream.kafka.embedded import free_ports
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"
RULES = MONITORING / "rules" / "audit_stream.yaml"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(?P<before>\[|for: )(?P<count>\d+)(?P<unit>[smhd])\b")
_AGE = re.compile(r"\b(?P<count>\d+) \* (?P<unit>60|3600|86400)\b")


def tool(*names: str) -> str:
    """The path of a program of one of these names; else the test fails, or is not run."""
    for name in names:
        if (found := shutil.which(name)) is not None:
            return found
    if os.environ.get("AUDIT_TEST_REQUIRE") == "1":
        pytest.fail(f"{names[0]} is not installed", pytrace=False)
    pytest.skip(f"NOT RUN: {names[0]} is not installed (see tests/support/prometheus.py)")


def run(*command: str) -> str:
    """Run a tool that must succeed; what it said."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts() -> dict[str, dict[str, Any]]:
    """The shipped alerts by name."""
    rules = [rule for group in groups() for rule in group["rules"]]
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


def records() -> dict[str, str]:
    """The shipped recording rules: name to expression."""
    rules = [rule for group in groups() for rule in group["rules"]]
    return {rule["record"]: rule["expr"] for rule in rules if "record" in rule}


def groups() -> list[dict[str, Any]]:
    """The groups of the shipped rule file."""
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return found


def shortened(rules: str, pace: float, longest: float) -> str:
    """The rules with every duration divided by `pace`, and nothing else changed.

    A window becomes 10 to 4 × `longest` seconds, a `for` up to a fifth of `longest`, an age that
    is compared with (``10 * 60``) up to `longest`.
    """

    def duration(match: re.Match[str]) -> str:
        seconds = int(match["count"]) * _SECONDS[match["unit"]] / pace
        window = match["before"] == "["
        bounded = min(max(seconds, 10), 4 * longest) if window else min(seconds, longest / 5)
        return f"{match['before']}{round(bounded * 1000)}ms"

    def age(match: re.Match[str]) -> str:
        return f"{min(int(match['count']) * int(match['unit']) / pace, longest):g}"

    return _AGE.sub(age, _DURATION.sub(duration, rules))


class Server:
    """A program that serves HTTP on a free port of the loopback interface."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)

    async def _start(self, *command: str) -> None:
        self._spawn(command)
        await eventually(self._ready, 60)

    def _spawn(self, command: tuple[str, ...]) -> None:
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    async def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        try:
            await asyncio.to_thread(self._get, "/-/ready")
        except (urllib.error.URLError, OSError):
            return False
        return True

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            body: bytes = answer.read()
            return body

    async def get(self, path: str, **query: str) -> Any:
        """The JSON document at a path."""
        full = f"{path}?{urllib.parse.urlencode(query)}" if query else path
        return orjson.loads(await asyncio.to_thread(self._get, full))

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Alertmanager(Server):
    """With the shipped configuration, group waits shortened."""

    async def start(self) -> None:
        config = (MONITORING / "alertmanager.yaml").read_text(encoding="utf-8")
        (self.folder / "alertmanager.yaml").write_text(re.sub(r"_wait: \w+", "_wait: 0s", config))
        await self._start(
            tool("alertmanager", "prometheus-alertmanager"), "--config.file=alertmanager.yaml",
            "--storage.path=data", f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        )  # fmt: skip


class Prometheus(Server):
    """With the shipped configuration and rules: other targets, and shorter durations."""

    async def start(
        self, targets: dict[str, list[int]], alertmanager: int, pace: float, longest: float
    ) -> None:
        """`targets`: ports by job; `pace`, `longest`: see `shortened`."""
        config = yaml.safe_load((MONITORING / "prometheus.yaml").read_text(encoding="utf-8"))
        config["global"] |= {
            "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "500ms",
        }  # fmt: skip
        config["rule_files"] = ["rules.yaml"]
        config["alerting"]["alertmanagers"] = [_static(alertmanager)]
        config["scrape_configs"] = [{"job_name": j, **_static(*p)} for j, p in targets.items()]
        rules = shortened(RULES.read_text(encoding="utf-8"), pace, longest)
        (self.folder / "rules.yaml").write_text(rules)
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        await self._start(
            tool("prometheus"), "--config.file=prometheus.yaml", "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{self.port}",
        )  # fmt: skip

    async def firing(self) -> list[dict[str, Any]]:
        """The alerts that are firing now."""
        found = (await self.get("/api/v1/alerts"))["data"]["alerts"]
        return [alert for alert in found if alert["state"] == "firing"]

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query's series."""
        answer = await self.get("/api/v1/query", query=expression)
        found = answer["data"]["result"]
        assert isinstance(found, list)
        return found


def _static(*ports: int) -> dict[str, Any]:
    return {"static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}

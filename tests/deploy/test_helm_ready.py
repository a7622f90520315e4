"""The script of `helm test`, as the chart has it, against the program's own web server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.web import WebServer
from tests.support.helm import case, pod


@pytest.fixture
def health() -> Health:
    return Health("assigned")


@pytest.fixture
def server(health: Health) -> Iterator[WebServer]:
    made = WebServer("127.0.0.1", 0, CollectorRegistry(), health, AlarmBoard("test"))
    made.start()
    yield made
    made.stop()


def ask(seconds: str, *names: str) -> subprocess.CompletedProcess[str]:
    """Run the pod's command with names of this machine in place of the cluster's."""
    (container,) = pod(case("everything"), "test").containers
    script = container["args"][0]
    assert container["command"] == ["python", "-c"]
    return subprocess.run(
        [sys.executable, "-c", script, seconds, *names], capture_output=True, text=True, timeout=60
    )


def test_it_passes_once_everybody_is_ready(server: WebServer, health: Health) -> None:
    health.set_ready("assigned", True)
    done = ask("5", f"localhost:{server.port}", f"127.0.0.1:{server.port}")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("200") == 2


def test_it_says_who_is_not(server: WebServer) -> None:
    done = ask("1", f"127.0.0.1:{server.port}", "127.0.0.1:1")
    assert done.returncode == 1
    assert '503 {"assigned": false}' in done.stdout
    assert "127.0.0.1:1" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_name_that_is_none_is_not_ready() -> None:
    done = ask("1", "nobody.invalid:9464")
    assert done.returncode == 1
    assert "nobody.invalid" in done.stdout


def test_it_asks_every_component_that_answers() -> None:
    (container,) = pod(case("everything"), "test").containers
    names = {word.partition(".")[0] for word in container["args"] if ".svc:" in word}
    parts = {
        "worker",
        "notary",
        "gateway",
        "deliverer-siem",
        "deliverer-lake",
        "mirror",
        "keeper",
        "holder",
    }
    assert names == {f"demo-audit-{part}" for part in parts}
    services = {each["metadata"]["name"] for each in case("everything").kind("Service")}
    assert names <= services

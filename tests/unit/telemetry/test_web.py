"""The web server of a process: its four pages, from a thread of its own, over real sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from audit_stream.errors import ConfigError
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics
from audit_stream.telemetry.web import WebServer
from tests.support.eventually import until


class Process:
    """What a worker wires together, on a free port."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.health = Health("assigned", "restored")
        self.alarms = AlarmBoard("worker-1")
        self.web = WebServer("127.0.0.1", 0, self.metrics.registry, self.health, self.alarms)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.web.port}{path}", timeout=30, trust_env=False)


@pytest.fixture
def process() -> Iterator[Process]:
    found = Process()
    found.web.start()
    yield found
    found.web.stop()


def test_metrics_are_served_in_prometheus_text(process: Process) -> None:
    process.metrics.records_total.labels("t", "a").inc(3)
    answer = process.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    samples = [
        sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == "audit_stream_records_total"
        and sample.labels == {"topic": "t", "disposition": "a"}
    ]
    assert samples == [3.0]


def test_ready_means_every_condition(process: Process) -> None:
    assert process.get("/readyz").status_code == 503
    process.health.set_ready("assigned", True)
    answer = process.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"assigned": True, "restored": False})
    process.health.set_ready("restored", True)
    assert process.get("/readyz").status_code == 200
    process.health.set_ready("assigned", False)
    assert process.get("/readyz").status_code == 503


def test_health_is_about_the_process_not_its_work(process: Process) -> None:
    alive = True
    process.health.watch("event_loop", lambda: alive)
    answer = process.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"event_loop": True})
    assert process.get("/readyz").status_code == 503
    alive = False
    assert process.get("/healthz").status_code == 503


def test_alarms_are_listed_while_open(process: Process) -> None:
    assert process.get("/alarms").json() == []
    process.alarms.raise_alarm("breaker:archive", "down")
    assert [alarm["key"] for alarm in process.get("/alarms").json()] == ["breaker:archive"]
    process.alarms.close_alarm("breaker:archive", "up")
    assert process.get("/alarms").json() == []


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../metrics", "/favicon.ico"])
def test_there_is_nothing_else(process: Process, path: str) -> None:
    with socket.create_connection(("127.0.0.1", process.web.port), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert connection.makefile("rb").readline().split()[1] == b"404"


def test_a_query_changes_nothing(process: Process) -> None:
    assert process.get("/metrics?name[]=x").status_code == 200


def test_nothing_can_be_posted(process: Process) -> None:
    url = f"http://127.0.0.1:{process.web.port}/alarms"
    assert httpx.post(url, timeout=30, trust_env=False).status_code == 501


async def test_it_answers_while_the_event_loop_is_blocked(process: Process) -> None:
    answered: list[int] = []
    thread = threading.Thread(target=lambda: answered.append(process.get("/healthz").status_code))

    def block() -> None:
        thread.start()
        thread.join(30)

    asyncio.get_running_loop().call_soon(block)
    await asyncio.sleep(0)
    assert answered == [200]


def test_a_client_that_says_nothing_holds_nobody_up(process: Process) -> None:
    with socket.create_connection(("127.0.0.1", process.web.port), timeout=30):
        assert process.get("/healthz").status_code == 200


def test_a_client_that_goes_away_is_nobodys_fault(
    process: Process, capsys: pytest.CaptureFixture[str]
) -> None:
    client = socket.create_connection(("127.0.0.1", process.web.port), timeout=30)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    client.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
    until(lambda: _serving() == 1)
    client.close()
    until(lambda: _serving() == 0)
    assert capsys.readouterr().err == ""


def _serving() -> int:
    """Requests under way."""
    return sum("process_request_thread" in each.name for each in threading.enumerate())


def test_a_port_in_use_is_refused_in_one_sentence(process: Process) -> None:
    with pytest.raises(ConfigError, match="AUDIT_WEB_PORT: cannot listen on"):
        WebServer(
            "127.0.0.1", process.web.port, process.metrics.registry, process.health, process.alarms
        )


def test_stopping_frees_the_port() -> None:
    first = Process()
    port = first.web.port
    first.web.start()
    first.web.stop()
    second = WebServer("127.0.0.1", port, first.metrics.registry, first.health, first.alarms)
    second.start()
    assert second.port == port
    second.stop()

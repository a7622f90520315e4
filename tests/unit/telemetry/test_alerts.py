"""Alarms: one per key until closed, told in every way there is, whatever the receiver does."""

from __future__ import annotations

import json
import logging
import queue
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from audit_stream.ports import Alerts
from audit_stream.telemetry.alerts import AlarmBoard, Webhook

LIMIT_SECONDS = 30


class Receiver:
    """A real HTTP server; `answers` are given in turn, then 200s."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.got: queue.Queue[dict[str, Any]] = queue.Queue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fine = b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"
                receiver.got.put({"type": self.headers["Content-Type"], **json.loads(body)})
                self.wfile.write(receiver.answers.pop(0) if receiver.answers else fine)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Silent."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/alarms"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    found = Receiver(*getattr(request, "param", ()))
    yield found
    found.close()


def test_the_board_is_the_alerts_port() -> None:
    alerts: Alerts = AlarmBoard("worker-1")
    alerts.raise_alarm("breaker:archive", "the store does not answer")


def test_a_key_is_one_alarm_until_it_is_closed() -> None:
    told: list[dict[str, Any]] = []
    board = AlarmBoard("worker-1", told.append)
    board.raise_alarm("fork:topic/3", "first")
    board.raise_alarm("fork:topic/3", "again")
    assert [alarm["summary"] for alarm in board.open()] == ["first"]
    board.close_alarm("fork:topic/3", "settled")
    assert board.open() == []
    board.raise_alarm("fork:topic/3", "once more")
    assert [(event["state"], event["summary"]) for event in told] == [
        ("open", "first"),
        ("closed", "settled"),
        ("open", "once more"),
    ]


def test_an_event_says_who_what_and_how_bad() -> None:
    told: list[dict[str, Any]] = []
    AlarmBoard("worker-1", told.append).raise_alarm("lost:t/0", "3 offsets", severity="warning")
    assert told == [
        {
            "key": "lost:t/0",
            "state": "open",
            "severity": "warning",
            "summary": "3 offsets",
            "worker": "worker-1",
        }
    ]


def test_closing_what_is_not_open_tells_nobody() -> None:
    told: list[dict[str, Any]] = []
    AlarmBoard("worker-1", told.append).close_alarm("fork:topic/3", "settled")
    assert told == []


def test_alarms_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    board = AlarmBoard("worker-1")
    with caplog.at_level(logging.WARNING):
        board.raise_alarm("breaker:archive", "down")
        board.close_alarm("breaker:archive", "up")
    said = [record for record in caplog.records if "breaker:archive" in record.getMessage()]
    assert [record.levelname for record in said] == ["ERROR", "WARNING"]
    assert "breaker:archive: down" in caplog.text


def test_a_way_that_fails_does_not_stop_the_next_one() -> None:
    told: list[dict[str, Any]] = []

    def broken(_event: dict[str, Any]) -> None:
        raise RuntimeError

    board = AlarmBoard("worker-1", broken)
    board.add_teller(told.append)
    board.raise_alarm("breaker:archive", "down")
    assert len(told) == 1


def test_many_threads_open_one_alarm() -> None:
    told: list[dict[str, Any]] = []
    board = AlarmBoard("worker-1", told.append)
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        board.raise_alarm("breaker:archive", "down")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == len(board.open()) == 1


def test_a_webhook_gets_each_event_as_json(receiver: Receiver) -> None:
    board = AlarmBoard("worker-1", Webhook(receiver.url))
    board.raise_alarm("breaker:archive", "down")
    board.close_alarm("breaker:archive", "up")
    got = [receiver.got.get(timeout=LIMIT_SECONDS) for _ in range(2)]
    assert [event["state"] for event in got] == ["open", "closed"]
    assert got[0]["type"] == "application/json"


@pytest.mark.parametrize(
    "receiver",
    [
        (b"HTTP/1.0 500 No\r\nContent-Length: 0\r\n\r\n",),
        (b"this is no HTTP\r\n\r\n",),
        (b"",),
        (b"HTTP/1.0 302 Found\r\nLocation: ftp://[\r\nContent-Length: 0\r\n\r\n",),
    ],
    indirect=True,
    ids=["500", "garbage", "nothing", "redirect to nowhere"],
)
def test_a_webhook_survives_any_answer(receiver: Receiver) -> None:
    webhook = Webhook(receiver.url)
    webhook({"key": "first"})
    webhook({"key": "second"})
    assert receiver.got.get(timeout=LIMIT_SECONDS)["key"] == "first"
    assert receiver.got.get(timeout=LIMIT_SECONDS)["key"] == "second"


def test_a_failing_webhook_keeps_its_url_out_of_the_log() -> None:
    receiver = Receiver()
    receiver.close()  # nobody listens there now
    logged: queue.Queue[str] = queue.Queue()

    class Noticing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.put(self.format(record))  # with the traceback, if there is one

    handler = Noticing()
    logger = logging.getLogger("audit_stream.telemetry.alerts")
    logger.addHandler(handler)
    try:
        Webhook(receiver.url + "?token=hunter2")({"key": "k"})
        said = logged.get(timeout=LIMIT_SECONDS)
    finally:
        logger.removeHandler(handler)
    assert "not told" in said
    assert "hunter2" not in said


def test_a_full_queue_never_holds_up_work(caplog: pytest.LogCaptureFixture) -> None:
    held, release = threading.Event(), threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            held.set()
            release.wait(LIMIT_SECONDS)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Silent."""

    server = HTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        webhook = Webhook(f"http://127.0.0.1:{server.server_address[1]}/")
        webhook({"key": "held"})
        assert held.wait(LIMIT_SECONDS)
        for number in range(257):
            webhook({"key": str(number)})
        assert "queue is full" in caplog.text
    finally:
        release.set()
        server.shutdown()
        server.server_close()


def test_the_last_alarm_before_the_end_is_told(receiver: Receiver) -> None:
    board = AlarmBoard("worker-1", Webhook(receiver.url))
    for number in range(20):
        board.raise_alarm(f"fork:{number}", "two segments under one name")
    board.flush(LIMIT_SECONDS)
    assert receiver.got.qsize() == 20  # without waiting for any of them


def test_a_receiver_that_hangs_does_not_hold_up_the_end() -> None:
    with socket.socket() as deaf:  # takes the connection, never answers
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        board = AlarmBoard("worker-1", Webhook(f"http://127.0.0.1:{deaf.getsockname()[1]}/"))
        board.raise_alarm("fork:t/0", "two segments under one name")
        started = time.monotonic()
        board.flush(0.2)
        assert time.monotonic() - started < LIMIT_SECONDS

"""A way out: in order, tried again within bounds, never in anybody's way."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from audit_stream.errors import AlertError, AlertRefused, AuditError, BrokerError, TopicError
from audit_stream.telemetry.alarm import Alarm
from audit_stream.telemetry.alerts import AlarmBoard, Teller
from audit_stream.telemetry.outbox import Outbox, Patience

LIMIT_SECONDS = 30
QUICK = Patience(first_delay=0.01, max_delay=0.05, jitter=0.0, limit=LIMIT_SECONDS)
NEVER_AGAIN = Patience(first_delay=3600, max_delay=3600, limit=7200)


class Receiver:
    """Fails with `failures` in turn, then takes what it gets."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.attempts: list[str] = []
        self.took: list[str] = []
        self.news = threading.Condition()

    async def __call__(self, alarm: Alarm) -> None:
        with self.news:
            self.attempts.append(f"{alarm.key} {alarm.state}")
            failure = self.failures.pop(0) if self.failures else None
            if failure is None:
                self.took.append(f"{alarm.key} {alarm.state}")
            self.news.notify_all()
        if failure is not None:
            raise failure

    def wait_for(self, holds: Callable[[], bool]) -> None:
        with self.news:
            assert self.news.wait_for(holds, LIMIT_SECONDS)


def alarms(*keys: str) -> list[Alarm]:
    return [
        Alarm(key=key, state="open", severity="critical", summary="s", worker="w", at=0.0)
        for key in keys
    ]


def told(outbox: Teller, found: Sequence[Alarm]) -> None:
    for alarm in found:
        outbox(alarm)


def away() -> AlertError:
    return AlertError("the receiver is away")


def test_it_is_a_way_for_the_board() -> None:
    receiver = Receiver()
    board = AlarmBoard("w", Outbox("test", receiver, QUICK))
    board.raise_alarm("breaker:archive", "down")
    board.close_alarm("breaker:archive", "up")
    board.flush(LIMIT_SECONDS)
    assert receiver.took == ["breaker:archive open", "breaker:archive closed"]


@pytest.mark.parametrize("failure", [away(), BrokerError("no broker answers")])
def test_what_may_pass_is_tried_again_and_nothing_overtakes_it(failure: AuditError) -> None:
    receiver = Receiver(failure, failure, failure)
    board = AlarmBoard("w", Outbox("test", receiver, QUICK))
    board.raise_alarm("breaker:archive", "down")
    board.close_alarm("breaker:archive", "up")
    receiver.wait_for(lambda: len(receiver.took) == 2)
    assert receiver.attempts == [*["breaker:archive open"] * 4, "breaker:archive closed"]


@pytest.mark.parametrize(
    "failure", [AlertRefused("HTTP 400"), TopicError("no such topic"), RuntimeError("a bug")]
)
def test_what_cannot_help_is_not_repeated_and_the_next_is_told(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Receiver(failure)
    outbox = Outbox("test", receiver, QUICK)
    told(outbox, alarms("first", "second"))
    outbox.flush(LIMIT_SECONDS)
    assert receiver.attempts == ["first open", "second open"]
    assert "alarm first (open) not told by test" in caplog.text


def test_a_bugs_words_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox("test", Receiver(RuntimeError("https://hooks.example/hunter2")), QUICK)
    told(outbox, alarms("first"))
    outbox.flush(LIMIT_SECONDS)
    assert "RuntimeError" in caplog.text
    assert "hunter2" not in caplog.text


def test_an_alarm_is_given_up_once_it_is_old(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(*[away() for _ in range(10_000)])
    patience = Patience(first_delay=0.01, max_delay=0.02, jitter=0.0, limit=0.3)
    outbox = Outbox("test", receiver, patience)
    told(outbox, alarms("first", "second"))
    receiver.wait_for(lambda: "second open" in receiver.attempts)
    outbox.flush(LIMIT_SECONDS)
    assert receiver.attempts.count("first open") > 1
    assert receiver.attempts.count("second open") >= 1  # at least once, however old
    assert "alarm first (open) not told by test: the receiver is away" in caplog.text


def test_attempts_are_spaced_and_the_receivers_word_is_kept() -> None:
    times: list[float] = []

    async def deliver(_alarm: Alarm) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            raise AlertError("HTTP 429", retry_after=0.4)
        if len(times) == 2:
            raise AlertError("HTTP 429", retry_after=3600)  # no longer than the longest delay

    patience = Patience(first_delay=0.05, max_delay=0.6, jitter=0.0, limit=LIMIT_SECONDS)
    board = AlarmBoard("w", Outbox("test", deliver, patience))
    board.raise_alarm("k", "s")
    deadline = time.monotonic() + LIMIT_SECONDS
    while len(times) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert times[1] - times[0] >= 0.4
    assert 0.6 <= times[2] - times[1] < LIMIT_SECONDS


def test_a_full_queue_drops_news_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    held, release = threading.Event(), threading.Event()
    took: list[str] = []

    async def deliver(alarm: Alarm) -> None:
        held.set()
        assert await asyncio.to_thread(release.wait, LIMIT_SECONDS)
        took.append(alarm.key)

    outbox = Outbox("test", deliver, Patience(queue=3))
    told(outbox, alarms("held"))
    assert held.wait(LIMIT_SECONDS)
    started = time.monotonic()
    told(outbox, alarms(*map(str, range(1000))))
    assert time.monotonic() - started < LIMIT_SECONDS / 2  # nobody waited for the receiver
    release.set()
    outbox.flush(LIMIT_SECONDS)
    assert took == ["held", "0", "1", "2"]
    assert "997 alarms not told by test: its queue was full" in caplog.text


def test_the_last_alarms_before_the_end_are_told() -> None:
    first, second = Receiver(), Receiver()
    board = AlarmBoard("w", Outbox("one", first, QUICK), Outbox("two", second, QUICK))
    for number in range(20):
        board.raise_alarm(f"fork:{number}", "two segments under one name")
    board.flush(LIMIT_SECONDS)
    assert len(first.took) == len(second.took) == 20  # without waiting for any of them


def test_the_end_does_not_wait_for_the_next_attempt_it_makes_it() -> None:
    receiver = Receiver(away())
    board = AlarmBoard("w", Outbox("test", receiver, NEVER_AGAIN))
    board.raise_alarm("fork:t/0", "two segments under one name")
    receiver.wait_for(lambda: len(receiver.attempts) == 1)
    board.flush(LIMIT_SECONDS)
    assert receiver.took == ["fork:t/0 open"]


def test_at_the_end_each_alarm_is_tried_once_more_only() -> None:
    receiver = Receiver(*[away() for _ in range(100)])
    board = AlarmBoard("w", Outbox("test", receiver, NEVER_AGAIN))
    board.raise_alarm("first", "s")
    receiver.wait_for(lambda: len(receiver.attempts) == 1)
    board.raise_alarm("second", "s")
    board.flush(LIMIT_SECONDS)
    assert receiver.attempts == ["first open", "first open", "second open"]


def test_a_way_that_hangs_holds_up_neither_the_end_nor_another_way() -> None:
    async def hang(_alarm: Alarm) -> None:
        await asyncio.sleep(LIMIT_SECONDS)

    other = Receiver()
    board = AlarmBoard("w", Outbox("hangs", hang), Outbox("other", other))
    board.raise_alarm("fork:t/0", "two segments under one name")
    started = time.monotonic()
    board.flush(0.5)
    assert time.monotonic() - started < LIMIT_SECONDS / 2
    assert other.took == ["fork:t/0 open"]


def test_a_retry_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(away())
    with caplog.at_level(logging.WARNING):
        told(Outbox("test", receiver, QUICK), alarms("first"))
        receiver.wait_for(lambda: bool(receiver.took))
    assert "alarm first (open) not yet told by test, trying again: the receiver" in caplog.text

"""The process shell, in real processes: whatever hangs or fails, the process ends, and says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from audit_stream.stream.process import EXIT_INTERNAL, ShutdownTimer, Watchdog

ROOT = Path(__file__).parents[3]
LIMIT_SECONDS = 30
PREAMBLE = """
import atexit, logging, os, signal, sys, threading
from audit_stream.stream.process import ShutdownTimer, Watchdog, die
forever = threading.Event()
"""


def start(code: str) -> subprocess.Popen[str]:
    """A Python process of its own; output is buffered, as a worker's is."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment | {"PYTHONPATH": str(ROOT)},
    )


def run(code: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; a process that does not end fails the test."""
    process = start(code)
    try:
        out, err = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        process.kill()
    return process.returncode, out, err


def test_die_says_why_and_skips_every_handler() -> None:
    code, out, err = run(
        """
atexit.register(print, "atexit ran")
try:
    print("before")
    die(71, "a fork")
finally:
    print("finally ran")
"""
    )
    assert code == 71
    assert "a fork" in err
    assert out == "before\n"


def test_die_in_a_thread_ends_a_main_thread_that_hangs() -> None:
    code, _, err = run("threading.Thread(target=die, args=(70, 'enough')).start(); forever.wait()")
    assert code == 70
    assert "enough" in err


@pytest.mark.parametrize("stream", [1, 2])
def test_die_ends_the_process_when_nobody_reads_its_output(stream: int) -> None:
    code, out, _ = run(
        f"""
kept = os.dup(1)
reading, writing = os.pipe()
os.close(reading)
os.dup2(writing, {stream})
print("into the void")
try:
    die(70, "last words")
except BaseException:
    os.write(kept, b"survived")
"""
    )
    assert code == 70
    assert "survived" not in out


def test_die_ends_the_process_when_a_log_handler_hangs() -> None:
    code, _, _ = run(
        """
handler = logging.StreamHandler()
logging.getLogger().addHandler(handler)
handler.acquire()
threading.Thread(target=die, args=(70, "unheard")).start()
forever.wait()
"""
    )
    assert code == 70


def test_a_stop_that_hangs_is_ended() -> None:
    process = start(
        """
timer = ShutdownTimer(0.2)
signal.signal(signal.SIGTERM, lambda *_: timer.arm())
print("ready", flush=True)
while True:
    forever.wait(0.05)
"""
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        process.kill()
    assert process.returncode == EXIT_INTERNAL
    assert "the stop took longer than 0.2 s" in err


def test_a_stop_in_time_ends_as_it_would_have() -> None:
    code, out, _ = run(
        """
atexit.register(print, "atexit ran")
ShutdownTimer(3600).arm()
"""
    )
    assert (code, out) == (0, "atexit ran\n")


def test_a_thread_that_the_interpreter_waits_for_is_not_waited_for_longer() -> None:
    code, _, err = run(
        """
threading.Thread(target=threading.Event().wait).start()
ShutdownTimer(0.2).arm()
"""
    )
    assert code == EXIT_INTERNAL
    assert "the stop took longer than 0.2 s" in err


def test_a_second_sigterm_gives_no_more_time() -> None:
    ended = threading.Event()
    timer = ShutdownTimer(0.5, lambda *_: ended.set())
    timer.arm()
    deadline = time.monotonic() + LIMIT_SECONDS
    while not ended.is_set():
        assert time.monotonic() < deadline
        timer.arm()


def test_a_source_that_stands_still_ends_the_process() -> None:
    code, _, err = run(
        """
watchdog = Watchdog(0.1)
watchdog.beat("event loop")
watchdog.start()
forever.wait()
"""
    )
    assert code == EXIT_INTERNAL
    assert "event loop made no progress" in err


def test_the_watchdog_keeps_no_process_alive() -> None:
    assert run("Watchdog(3600).start()")[0] == 0


def first_end(watchdog: Watchdog, ended: list[str], noticed: threading.Event) -> list[str]:
    watchdog.start()
    assert noticed.wait(LIMIT_SECONDS)
    watchdog.stop()
    return ended


def watched(limit_seconds: float) -> tuple[Watchdog, list[str], threading.Event]:
    """A watchdog that notes the stalls instead of ending the process."""
    ended: list[str] = []
    noticed = threading.Event()

    def end(_code: int, reason: str) -> None:
        ended.append(reason)
        noticed.set()

    return Watchdog(limit_seconds, end), ended, noticed


def test_an_excused_source_may_stand_still_and_the_other_one_not() -> None:
    watchdog, ended, noticed = watched(0.1)
    watchdog.beat("poll thread")
    watchdog.excuse("poll thread", "the broker is away")
    watchdog.beat("event loop")
    assert all("event loop" in reason for reason in first_end(watchdog, ended, noticed))


def test_a_source_that_beats_in_a_thread_of_its_own_is_no_stall() -> None:
    watchdog, ended, noticed = watched(1.0)
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.01):
            watchdog.beat("poll thread")

    thread = threading.Thread(target=work)
    thread.start()
    watchdog.beat("event loop")
    try:
        assert all("event loop" in reason for reason in first_end(watchdog, ended, noticed))
    finally:
        done.set()
        thread.join()


def test_a_source_that_has_not_begun_is_not_watched() -> None:
    watchdog, ended, noticed = watched(0.1)
    watchdog.excuse("poll thread", None)
    watchdog.beat("event loop")
    assert all("event loop" in reason for reason in first_end(watchdog, ended, noticed))


def test_a_source_must_begin_when_its_first_excuse_ends() -> None:
    watchdog, ended, noticed = watched(0.1)
    watchdog.excuse("poll thread", "no assignment yet")
    watchdog.excuse("poll thread", None)
    assert "poll thread" in first_end(watchdog, ended, noticed)[0]


def test_a_lifted_excuse_starts_the_time_again() -> None:
    watchdog = Watchdog(60)
    watchdog.beat("poll thread")
    watchdog.excuse("poll thread", "restoring")
    while watchdog.age("poll thread") < 0.2:
        pass
    watchdog.excuse("poll thread", None)
    assert watchdog.age("poll thread") < 0.2


def test_without_an_excuse_there_is_none_to_lift() -> None:
    watchdog = Watchdog(60)
    watchdog.beat("poll thread")
    while watchdog.age("poll thread") < 0.2:
        pass
    watchdog.excuse("poll thread", None)
    assert watchdog.age("poll thread") >= 0.2


def test_a_lifted_excuse_excuses_no_longer() -> None:
    watchdog, ended, noticed = watched(0.1)
    watchdog.beat("poll thread")
    watchdog.excuse("poll thread", "restoring")
    watchdog.excuse("poll thread", None)
    assert "poll thread" in first_end(watchdog, ended, noticed)[0]

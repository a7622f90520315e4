"""Health: named conditions, set and read from any thread."""

from __future__ import annotations

import threading

from audit_stream.telemetry.health import Health


def test_nothing_is_ready_before_it_says_so() -> None:
    assert Health("assigned", "restored").ready() == {"assigned": False, "restored": False}


def test_a_condition_may_come_late() -> None:
    health = Health("assigned")
    health.set_ready("breaker_closed", True)
    assert health.ready() == {"assigned": False, "breaker_closed": True}


def test_liveness_is_asked_each_time() -> None:
    answers = iter([True, False])
    health = Health()
    health.watch("event_loop", lambda: next(answers))
    assert [health.live()["event_loop"], health.live()["event_loop"]] == [True, False]


def test_what_is_handed_out_is_a_copy() -> None:
    health = Health("assigned")
    health.ready()["assigned"] = True
    assert health.ready() == {"assigned": False}


def test_a_check_may_use_health_itself() -> None:
    health = Health("assigned")
    health.watch("nested", lambda: "assigned" in health.ready())
    assert health.live() == {"nested": True}


def test_conditions_may_be_added_while_others_read() -> None:
    health = Health()
    failures: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                health.ready()
                health.live()
        except RuntimeError as error:
            failures.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(2000):
        health.set_ready(f"condition-{number}", True)
        health.watch(f"check-{number}", bool)
    done.set()
    thread.join()
    assert failures == []
    assert len(health.ready()) == len(health.live()) == 2000

"""Delivery to a receiver of ours over real HTTP: what is stored there is what the archive has."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from audit_stream.evidence.canonical import canonical
from tests.support.delivering import Delivering, expected, pubs
from tests.support.eventually import until
from tests.support.siem import TOKEN, Mode, siem

pytestmark = pytest.mark.timeout(120)
ASYNC = {"AUDIT_DELIVERY_SYNCHRONOUS": "false"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Delivering]:
    with siem(tmp_path / "siem") as server:
        yield Delivering(tmp_path, server)


def test_every_record_is_stored_once_whole_and_in_its_messages_order(place: Delivering) -> None:
    place.once()
    assert place.siem.keys() == expected()
    assert place.settled() == place.ends()
    by_message: dict[str, list[int]] = defaultdict(list)
    for entry in place.siem.stored():
        pub = dict(entry["body"])
        said = pub.pop("integrity_hash")
        assert said == "sha256:" + sha256(canonical(pub)).hexdigest()
        by_message[pub["message_uuid"]].append(pub["revision"])
    assert any(len(found) > 1 for found in by_message.values())
    assert all(found == sorted(found) for found in by_message.values())
    assert {each["type"] for each in place.siem.seen()} == {"application/json"}
    place.once()
    assert len(place.siem.seen()) == len(pubs())  # nothing is sent again


def test_a_receiver_that_answers_later_is_asked_until_it_has_stored(place: Delivering) -> None:
    place.siem.be(Mode(kind="async", pending=2))
    place.once(**ASYNC)
    assert place.siem.keys() == expected()


def test_what_a_receiver_loses_after_accepting_is_posted_again(place: Delivering) -> None:
    place.siem.be(Mode(kind="async", final="lost"))
    with place.running("siem", **ASYNC) as process:
        until(lambda: len(place.siem.seen()) > 40)
        assert place.siem.stored() == []
        assert set(place.settled().values()) <= {0}
        place.siem.be(Mode(kind="async"))
        until(lambda: place.siem.keys() == expected())
        until(lambda: place.settled() == place.ends())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (Mode(kind="plain"), "AUDIT_DELIVERY_SYNCHRONOUS"),
        (Mode(kind="bare202"), "202 without Location"),
        (Mode(kind="elsewhere"), "of another origin"),
        (Mode(status=302), "redirect"),
        (Mode(status=401), "401"),
        (Mode(status=403), "403"),
        (Mode(tokens=["another"]), "401"),
    ],
    ids=["plain 200", "bare 202", "elsewhere", "302", "401", "403", "token"],
)
def test_what_does_not_say_stored_is_not_taken_for_it(
    place: Delivering, mode: Mode, said: str
) -> None:
    place.siem.be(mode)
    done = place.run("siem", "--once", **ASYNC)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert TOKEN not in done.stderr + done.stdout
    assert place.settled() == {}
    assert place.siem.stored() == []


def test_what_passes_is_outlasted(place: Delivering) -> None:
    place.siem.be(Mode(statuses=[500, 503, 408, 429, 425, 502], retry_after="0"))
    place.once()
    assert place.siem.keys() == expected()


def test_a_receiver_that_limits_the_rate_gets_all_of_it(place: Delivering) -> None:
    place.siem.be(Mode(rate=60))
    began = time.monotonic()
    with place.running("siem"):
        until(lambda: place.siem.keys() == expected(), 60)
    assert time.monotonic() - began > len(pubs()) / 60 - 1


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_dropped_connection_loses_nothing_and_doubles_nothing(
    place: Delivering, drop: str
) -> None:
    place.siem.be(Mode(drop=drop, drops=7))
    place.once()
    assert place.siem.keys() == expected()
    assert len(place.siem.seen()) > len(pubs())


def test_a_receiver_that_dies_and_comes_back_gets_the_rest(place: Delivering) -> None:
    place.siem.be(Mode(latency=0.02))
    with place.running("siem", AUDIT_DELIVERY_CONCURRENCY="4"):
        until(lambda: len(place.siem.stored()) > 20)
        place.siem.die()
        at_death = len(place.siem.stored())
        place.siem.start()
        until(lambda: place.siem.keys() == expected(), 60)
    assert at_death < len(pubs())


@pytest.mark.timeout(300)
def test_killed_anywhere_nothing_is_lost_and_doubles_have_the_same_key(place: Delivering) -> None:
    """A receiver that forgets keys stores what is posted again: under the same key, the same."""
    place.siem.be(Mode(latency=0.01, forget=True))
    chance, kills = random.Random(7), 0
    while place.settled() != place.ends():
        with place.running(
            "siem", AUDIT_DELIVERY_CONCURRENCY="2", AUDIT_DELIVERY_POSITION_RECORDS="5"
        ) as process:
            before = len(place.siem.seen())
            until(lambda at=before: len(place.siem.seen()) > at)  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.08 * (1 + kills)))  # where it is killed, no waiting
            process.kill()
        kills += 1
        below = place.settled()
        stored = set(place.siem.keys())
        for pub in pubs():  # what a position says is settled is stored
            topic, _, _, offset = pub["source"].split("/")
            if int(offset) < below.get(topic, 0):
                assert f"{pub['message_uuid']}:{pub['delivery_status']}" in stored
    assert kills > 1
    assert set(place.siem.keys()) == set(expected())
    bodies: dict[str, set[str]] = defaultdict(set)
    for entry in place.siem.stored():
        bodies[entry["key"]].add(json.dumps(entry["body"], sort_keys=True))
    assert all(len(found) == 1 for found in bodies.values())


def test_the_second_deliverer_of_a_receiver_stops(place: Delivering) -> None:
    place.siem.be(Mode(latency=0.05))
    slow = {"AUDIT_DELIVERY_CONCURRENCY": "1", "AUDIT_DELIVERY_POSITION_RECORDS": "1"}
    with place.running("siem", **slow) as one, place.running("siem", **slow) as two:
        until(lambda: one.poll() is not None or two.poll() is not None, 60)
        stopped = one if one.poll() is not None else two
        assert stopped.returncode == 2
        assert stopped.stderr is not None
        assert "AS-9001" in stopped.stderr.read()
    # Each may have been second to some partition, so that both stop: one that runs alone goes on.
    place.siem.be(Mode())
    place.once()
    assert place.siem.keys() == expected()


def test_a_stop_lets_posts_under_way_end(place: Delivering) -> None:
    place.siem.be(Mode(latency=0.3))
    with place.running("siem", AUDIT_DELIVERY_CONCURRENCY="4") as process:
        until(lambda: len(place.siem.seen()) >= 4)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    place.siem.be(Mode())
    place.once()
    assert len(place.siem.seen()) == len(pubs())  # none was sent twice


@pytest.mark.parametrize("form", ["message_uuid", "source"])
def test_other_keys(place: Delivering, form: str) -> None:
    place.siem.be(Mode(forget=True))
    place.once(AUDIT_DELIVERY_IDEMPOTENCY_KEY=form)
    assert place.siem.keys() == expected("{" + form + "}")


def test_another_archive_behind_the_same_positions_is_refused(place: Delivering) -> None:
    place.once()
    for path in (place.folder / "state" / "delivery" / "positions").rglob("*.json"):
        value = json.loads(path.read_bytes())
        path.write_bytes(canonical(value | {"leaf": "00" * 32, "settled": 0, "next": 0, "seq": 1}))
    done = place.run("siem", "--once")
    assert done.returncode == 1
    assert len(place.siem.seen()) == len(pubs())


def test_a_rotated_token_is_read_again_when_it_is_refused(place: Delivering) -> None:
    file = place.folder / "token"
    file.write_text("first\n")
    place.siem.be(Mode(tokens=["first"], latency=0.02))
    by_file = {"AUDIT_DELIVERY_TOKEN": "", "AUDIT_DELIVERY_TOKEN_FILE": str(file)}
    with place.running("siem", AUDIT_DELIVERY_CONCURRENCY="2", **by_file):
        until(lambda: len(place.siem.stored()) > 10)
        file.write_text("second\n")
        place.siem.be(Mode(tokens=["second"]))
        until(lambda: place.siem.keys() == expected(), 60)


def test_a_position_waits_until_what_was_refused_is_kept(place: Delivering) -> None:
    """No broker answers: where nothing can be kept, nothing is passed over."""
    place.siem.be(Mode(refuse={":READ": 422}))
    done = place.run("siem", "--once")
    assert done.returncode == 1
    first = {}
    for pub in reversed(pubs()):
        topic, _, _, offset = pub["source"].split("/")
        if pub["delivery_status"] == "READ":
            first[topic] = int(offset)
    for topic, settled in place.settled().items():
        assert settled <= first.get(topic, settled)
    said = json.loads(place.run("status", "--json").stdout)
    assert said["undeliverable"] is None  # nobody knows
    for row in said["partitions"]:
        settled = place.settled().get(row["topic"], 0)
        offsets = [int(p["source"].rpartition("/")[2]) for p in pubs()
                   if p["source"].startswith(f"{row['topic']}/")]  # fmt: skip
        assert row["records_behind"] == sum(offset >= settled for offset in offsets)
    place.siem.be(Mode())
    place.once()
    assert place.siem.keys() == expected()


def test_a_receiver_that_rejects_everything_is_not_the_records_fault(place: Delivering) -> None:
    place.siem.be(Mode(status=404))
    done = place.run("siem", "--once", AUDIT_DELIVERY_BRAKE_RUN="20")
    assert done.returncode == 1
    assert "AS-9002" in done.stderr
    assert "404" in done.stderr
    assert place.settled() == {}

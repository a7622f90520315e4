"""The schedule and the traffic of chaos: pure, the same from the same seed."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.campaigns.chaos.actions import ACTIONS, ALONE
from tests.campaigns.chaos.schedule import BROKERS, CHUNKS, KINDS, ONCE, SESSION_SECONDS, schedule
from tests.campaigns.chaos.traffic import UNMAPPED, Kind, Traffic

FIFTY = [schedule(seed) for seed in range(1, 51)]
TOPICS = ("one", "other")


def test_the_same_seed_gives_the_same_schedule_and_another_another() -> None:
    assert [schedule(each.seed) for each in FIFTY] == FIFTY
    assert len({tuple(map(str, each.actions)) for each in FIFTY}) == len(FIFTY)


def test_every_kind_occurs_many_times_in_fifty_seeds() -> None:
    found = Counter(action.kind for each in FIFTY for action in each.actions)
    assert set(found) == set(KINDS) == set(ACTIONS)
    assert min(found.values()) >= 8, found


@pytest.mark.parametrize("each", FIFTY, ids=lambda each: str(each.seed))
def test_a_seed_can_be_played(each: object) -> None:
    found = schedule(each.seed)  # type: ignore[attr-defined]
    assert 6 <= len(found.actions) <= 10
    assert [action.after for action in found.actions] == sorted(a.after for a in found.actions)
    assert all(1 <= action.after < CHUNKS for action in found.actions)
    kinds = Counter(action.kind for action in found.actions)
    assert all(kinds[kind] <= 1 for kind in ONCE)
    for action in found.actions:
        assert int(action.given.get("worker", 0)) < found.workers
        assert 1 <= int(action.given.get("broker", 1)) <= BROKERS
        assert action.kind != "freeze" or action.hold > SESSION_SECONDS
        assert action.kind != "store-fault" or found.store != "file"
        assert action.kind not in ALONE or not action.hold
        assert action.kind in str(action)


def test_traffic_is_the_same_from_the_same_seed_and_says_what_each_line_is() -> None:
    lines, made = _traffic()
    again, _ = _traffic()
    assert lines == again
    kinds = Counter(made[line.key, line.value].kind for line in lines)
    assert set(kinds) == set(Kind)
    assert kinds[Kind.POISON] >= 12
    for line in lines:
        found = made[line.key, line.value]
        if found.kind is not Kind.POISON:
            assert line.key == found.message.encode()
            assert found.status.encode() in (line.value or b"")
        assert (line.key is None) == (line.partition is not None)


def test_no_line_stands_for_two() -> None:
    """But the one without key and value, which can only be told from itself."""
    lines, _ = _traffic()
    assert {
        each for each, count in Counter((x.key, x.value) for x in lines).items() if count > 1
    } <= {(None, None)}


def _traffic() -> tuple[list, dict]:  # type: ignore[type-arg]
    traffic = Traffic(7, TOPICS, 3)
    lines = [*traffic.lines(500), *traffic.unmapped(20), *traffic.poison(2)]
    assert any(UNMAPPED.encode() in (line.value or b"") for line in lines)
    return lines, traffic.made

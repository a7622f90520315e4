"""How far a rekeyed topic is copied, from what the broker says."""

from __future__ import annotations

import pytest

from audit_stream.app.copied import Copied, Looked, copied_of, raw_of_twin
from audit_stream.kafka.losses import Losses


@pytest.mark.parametrize(
    ("start", "end", "done", "to_come"),
    [
        (0, 10, 10, 0), (0, 10, 4, 6), (0, 10, 0, 10), (3, 10, 3, 7), (3, 10, 0, 7),
        (2, 10, 99, 8),  # committed for another topic of that name
        (0, 0, 0, 0),
    ],
)  # fmt: skip
def test_what_is_not_copied_yet(start: int, end: int, done: int, to_come: int) -> None:
    assert copied_of(start, end, done, "").to_come == to_come


def test_what_retention_deleted_before_it_was_copied_is_known() -> None:
    assert copied_of(7, 10, 4, "").losses == Losses(3, 4, 7)
    assert copied_of(0, 10, 4, Losses(3, 1, 4).text).losses == Losses(3, 1, 4)
    assert copied_of(0, 10, 4, "").losses is None


@pytest.mark.parametrize(
    ("first", "now", "to_come"),
    [
        (Copied(10, 4), Copied(10, 4), 6),
        (Copied(10, 4), Copied(30, 9), 1),
        (Copied(10, 4), Copied(30, 10), 0),  # what came since is of later
        (Copied(10, 4), Copied(5, 5), 0),  # recreated since, and copied
        (Copied(10, 4), Copied(5, 3), 2),
        (None, Copied(5, 3), 2),  # a partition that was added
    ],
)
def test_a_wait_is_for_what_lay_there_when_it_began(
    first: Copied | None, now: Copied, to_come: int
) -> None:
    place = ("t", 0)
    assert Looked({} if first is None else {place: first}, {place: now}).to_come == to_come


def test_a_twin_is_known_by_its_name() -> None:
    assert raw_of_twin("t-rekeyed") == "t"
    assert raw_of_twin("t") is None

"""Lines that an import refused: each told once, and counted on the side of the mark they are on."""

from __future__ import annotations

from audit_stream.kafka.refused import KEPT, MOST_OPEN, Refusals, Refused, Tally
from audit_stream.kafka.sending import Mark


def marks(*lines: int, file: int = 0) -> list[Mark]:
    """Of lines of ten bytes, numbered from 1."""
    return [Mark(file, line - 1, 10 * (line - 1)) for line in lines]


def test_each_is_told_at_once_and_those_of_earlier_runs_first() -> None:
    told: list[Refused] = []
    refusals = Refusals(["a", "b"], {0: Tally(2, ((3, "large"), (9, "large")))}, told.append)
    for mark in marks(4, file=1):
        refusals.add(mark, "no topic")
    assert [(one.file, one.line, one.reason, one.earlier) for one in told] == [
        ("a", 3, "large", True), ("a", 9, "large", True), ("b", 4, "no topic", False),
    ]  # fmt: skip
    assert (refusals.count, [one.line for one in refusals.first]) == (3, [3, 9, 4])


def test_a_position_has_those_before_it_and_no_other() -> None:
    refusals = Refusals(["a", "b"], {}, lambda _: None)
    for mark in (*marks(2, 5), *marks(1, file=1)):
        refusals.add(mark, "x")
    assert refusals.settle(Mark(0, 1, 10)) == {}
    assert refusals.settle(Mark(0, 4, 40)) == {0: Tally(1, ((2, "x"),))}
    assert refusals.settle(Mark(1, 0, 0)) == {0: Tally(2, ((2, "x"), (5, "x")))}
    assert refusals.count == 3
    assert refusals.settle(Mark(2, 0, 0))[1] == Tally(1, ((1, "x"),))


def test_of_many_the_first_are_named_and_all_counted() -> None:
    refusals = Refusals(["a"], {0: Tally(1, ((1, "x"),))}, lambda _: None)
    for mark in marks(*range(2, MOST_OPEN + 2)):
        assert not refusals.is_full
        refusals.add(mark, "x")
    assert refusals.is_full
    assert [one.line for one in refusals.first] == list(range(1, KEPT + 1))
    refusals.settle(Mark(1, 0, 0))
    assert not refusals.is_full
    assert [one.line for one in refusals.first] == list(range(1, KEPT + 1))
    assert refusals.count == MOST_OPEN + 1

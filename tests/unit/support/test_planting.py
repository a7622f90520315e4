"""The judge of a planted installation lets pass what the map allows, and nothing else."""

from __future__ import annotations

import pytest

from audit_stream.privacy.place import At, Form, Where
from audit_stream.privacy.places import PLACES
from tests.support.planted import Person, spellings_in
from tests.support.planted_events import ARCHIVED, STRANGER, planted_lines
from tests.support.planting import Seen, judge

ANNA, BERT = Person(1), Person(2)
ALL = [(place, at) for place in PLACES for at in place.at]


def named(at: At) -> At:
    """A whole name, where the map has the beginning of names."""
    prefixed = at.where in (Where.ARCHIVE, Where.SUBJECTS)
    return At(at.where, f"{at.name}1.bin") if prefixed else at


@pytest.mark.parametrize(("place", "at"), ALL, ids=lambda each: getattr(each, "name", ""))
def test_an_identity_may_lie_in_clear_places_only(place: object, at: At) -> None:
    clear = place.form is Form.CLEAR  # type: ignore[attr-defined]
    for identity in ANNA.identities:
        wrong = judge([Seen(named(at), "it", f"of {identity}".encode())])
        allowed = clear and at.where is not Where.SAID  # what is said must have been asked for
        assert bool(wrong) is not allowed
        assert all("vqxkantor" not in each and "15550" not in each for each in wrong)


def test_an_answer_may_name_who_was_asked_for_and_nobody_else() -> None:
    answer = At(Where.SAID, "answer")
    told = f"{ANNA.customer} {ANNA.address}".encode()
    assert judge([Seen(answer, "it", told, frozenset({1}))]) == []
    assert judge([Seen(answer, "it", told + BERT.customer.encode(), frozenset({1}))])
    assert judge([Seen(answer, "it", told)])


def test_what_has_no_place_is_wrong_even_if_it_is_empty() -> None:
    assert "no place" in judge([Seen(At(Where.FILE, "forgotten"), "it", b"")])[0]


def test_every_planted_line_has_somebody_but_the_empty_one() -> None:
    for key, value, headers in planted_lines():
        held = (key or b"") + (value or b"") + b"".join(each for _, each in headers)
        assert spellings_in(held)


def test_who_is_asked_for_and_was_never_sent_is_nowhere_in_it() -> None:
    lines = b"".join((value or b"") for _, value, _ in planted_lines())
    assert all(identity.encode() not in lines for identity in STRANGER.identities)
    assert all(person.customer.encode() in lines for person in ARCHIVED)

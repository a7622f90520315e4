"""Four eyes: two ids of one person are one, in whichever way they are spelled."""

from __future__ import annotations

import pytest

from audit_stream.errors import RequestError
from audit_stream.evidence.persons import check_second_person, is_one_person


@pytest.mark.parametrize("other", ["lea", "Lea", "LEA", " lea", "lea\n", "lEa "])
def test_case_and_space_around_it_make_no_second_person(other: str) -> None:
    assert is_one_person("lea", other)
    assert is_one_person(other, "lea")
    with pytest.raises(RequestError, match=r"lea filed the purge dc-1") as refused:
        check_second_person(other, "lea", "the purge dc-1")
    assert refused.value.hint == "a second person must approve it"


@pytest.mark.parametrize("other", ["max", "lea2", "le-a", "le a", ""])
def test_another_id_is_another_person(other: str) -> None:
    assert not is_one_person("lea", other)
    check_second_person(other, "lea", "the purge dc-1")

"""Where two record lines differ, and what of it may be told."""

from __future__ import annotations

import orjson
import pytest

from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.difference import FieldDifference, is_erased, line_difference
from tests.support import golden

LINE = next(line for chunk in golden.judged(golden.TOPICS[0]) for line in chunk.lines)[:-1]


def changed(**members: object) -> bytes:
    value = orjson.loads(LINE)
    value["pub"] |= members
    return canonical(value)


def erased(**members: object) -> bytes:
    value = orjson.loads(LINE)
    del value["pub"]["_sd"]
    value["pub"] |= {"erased": True} | members
    value["pii"], value["integrity_hash"] = None, "sha256:" + "0" * 64
    return canonical(value)


def test_the_same_line_has_no_difference() -> None:
    assert line_difference(LINE, LINE) is None


@pytest.mark.parametrize(
    ("members", "difference"),
    [
        ({"revision": 7}, FieldDifference("revision", "1", "7")),
        ({"revision": True}, FieldDifference("revision", "1", "another value")),
        ({"delivery_status": "PAUL"}, FieldDifference("delivery_status", None, "another value")),
        ({"supersedes": "t/1/0/3"}, FieldDifference("supersedes", "null", "t/1/0/3")),
        ({"supersedes": "Paul, Ulm"}, FieldDifference("supersedes", "null", "another value")),
        ({"message_uuid": "m"}, FieldDifference("message_uuid", "another value", "another value")),
        ({"+49151": 1}, FieldDifference("a member no record has", "nothing", "another value")),
        ({"_sd": ["a", "b"]}, FieldDifference("_sd", "another value", "another value")),
    ],
)
def test_a_changed_field_is_named_and_its_value_told_if_its_form_is_closed(
    members: dict[str, object], difference: FieldDifference
) -> None:
    found = line_difference(LINE, changed(**members))
    assert found is not None
    assert (found.field, found.other) == (difference.field, difference.other)
    assert difference.one is None or found.one == difference.one


def test_the_cause_is_named_before_what_follows_from_it() -> None:
    value = orjson.loads(changed(revision=2))
    value["pii"], value["integrity_hash"] = "other", "other"
    found = line_difference(LINE, canonical(value))
    assert found is not None
    assert found.field == "revision"


@pytest.mark.parametrize("name", ["pii", "integrity_hash"])
def test_what_is_outside_pub_is_compared_too(name: str) -> None:
    value = orjson.loads(LINE)
    value[name] = "other"
    found = line_difference(LINE, canonical(value))
    assert found is not None
    assert found.field == name


def test_of_an_erased_line_all_but_what_is_sealed_is_compared() -> None:
    assert line_difference(LINE, erased()) is None
    assert line_difference(erased(), LINE) is None
    found = line_difference(LINE, erased(revision=2))
    assert found is not None
    assert found.field == "revision"


def test_two_erased_lines_are_compared_whole() -> None:
    other = erased().replace(b"0" * 64, b"1" * 64)
    found = line_difference(erased(), other)
    assert found is not None
    assert found.field == "integrity_hash"


@pytest.mark.parametrize("line", [b"", b"{}", b"[1]", b'{"pub":1}', b"not json"])
def test_what_is_no_record_differs_as_a_line(line: bytes) -> None:
    assert line_difference(LINE, line) == FieldDifference("line", "record", "none")


def test_the_same_members_in_another_form_differ() -> None:
    found = line_difference(LINE, b" " + LINE)
    assert found is not None
    assert found.field == "line"


def test_erased_lines_are_told_by_their_form() -> None:
    assert is_erased(erased())
    assert not is_erased(LINE)

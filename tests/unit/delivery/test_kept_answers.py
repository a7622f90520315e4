"""What is kept of a receiver's answer: nothing of whom the record was sent to."""

from __future__ import annotations

import html
import json
from urllib.parse import quote, quote_plus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.delivery.outcome import readable
from audit_stream.delivery.undeliverable import MOST_KEPT, kept

VALUES = ["+4915112345678", "jürgen.o'neil@example.com"]
SPELLINGS = {
    "plain": str, "JSON": lambda v: orjson.dumps(v).decode(), "ASCII JSON": json.dumps,
    "HTML": html.escape, "HTML numbers": lambda v: "".join(f"&#{ord(c)};" for c in v),
    "URL": lambda v: quote(v, safe=""), "form": quote_plus, "upper case": str.upper,
    "PHP": lambda v: v.replace("@", "\\@"), "all escaped": lambda v: "".join(
        f"\\u{ord(c):04x}" for c in v), "all quoted": lambda v: "".join(
        f"%{byte:02x}" for byte in v.encode()),
}  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_value_is_taken_out_however_it_is_spelt(spelling, value):
    said = kept(f"no such number: {spelling(value)}, sorry", VALUES)
    assert "[personal]" in said
    assert not any(part in said.lower() for part in ("4915112345678", "rgen", "neil"))


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("spelling", [str, json.dumps, quote_plus])
@pytest.mark.parametrize("before", range(MOST_KEPT - 40, MOST_KEPT + 1))
def test_the_end_of_what_is_kept_cuts_no_value_in_two(value, spelling, before):
    body = ("x" * before + spelling(value) + "y" * 5000).encode()
    said = kept(readable(body), VALUES)
    assert set(said.replace("[personal]", "")) <= {"x", '"', "y"}
    assert len(said) <= MOST_KEPT + len("[personal]")


@given(st.text(min_size=3).filter(lambda t: t.strip("[personal]")), st.text(), st.text())
def test_no_text_around_a_value_keeps_it(value, before, after):
    for spelt in (value, orjson.dumps(value).decode()[1:-1]):
        said = kept(before + spelt + after, [value])
        assert value not in said.replace("[personal]", "\0") or value == "\0"


@given(st.text())
def test_without_values_an_answer_is_cut_and_nothing_else(answer):
    assert kept(answer, []) == kept(answer, [""]) == answer[:MOST_KEPT]

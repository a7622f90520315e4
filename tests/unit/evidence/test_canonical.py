"""Every stored line has one spelling; any other spelling of the same value is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical, parse_line


@pytest.mark.parametrize(
    "line",
    [b"{}", b'{"a":1,"b":[null,true,{"c":"x"}]}', b'{"a":9007199254740991}', b'{"a":"\xc3\xbc"}',
     b'{"a":"\\n\\u0001\x7f"}', b'{"A":1,"_":2,"a":3}'],
)  # fmt: skip
def test_the_canonical_spelling_is_read_and_written_back(line: bytes) -> None:
    assert canonical(parse_line(line, "line")) == line


@pytest.mark.parametrize(
    "line",
    [b"", b"null", b"[]", b"1", b'"x"', b"{", b"{} ", b" {}", b"{}\n", b'{"a": 1}',
     b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a":1,"a":2}', b'{"a":1.0}', b'{"a":1.5}', b'{"a":1e2}',
     b'{"a":-0}', b'{"a":01}', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":"\\u00fc"}',
     b'{"a":"\\/"}', b'{"a":"\\u000a"}', b'{"a":"\\u001F"}', b'{"a":"\\ud800"}', b'{"a":"\xff"}',
     b'{"a":9007199254740992}', b'{"a":18446744073709551616}', b'{"a":1,}', b"{'a':1}",
     b"\xef\xbb\xbf{}", b'{"a":{"b":[1.5]}}'],
)  # fmt: skip
def test_any_other_spelling_is_refused(line: bytes) -> None:
    with pytest.raises(FormatError, match="line 7"):
        parse_line(line, "line 7")


@pytest.mark.parametrize("value", [2**53, -(2**53), 2**64, {1: 2}, b"x", {"a"}, "\ud800"])
def test_what_has_no_canonical_form_is_not_written(value: object) -> None:
    with pytest.raises(TypeError):  # orjson's own error is one
        canonical({"a": value})


@pytest.mark.parametrize(
    "value",
    [{"a": 1.5}, {"a": [2.0]}, {"a": [1, -0.5]}, {"a": {"b": 1e22}}, {"a": 1e-7, "b": "x"},
     {"a": [[-1e300]]}, {"a": 0.0}],
)  # fmt: skip
def test_no_line_holds_a_float(value: dict[str, object]) -> None:
    with pytest.raises(FormatError, match="not an integer"):
        parse_line(canonical(value), "x")


@given(
    st.recursive(
        st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, min_size=1),
        max_leaves=5,
    )
)
def test_no_float_is_overlooked(value: object) -> None:
    with pytest.raises(FormatError, match="not an integer"):
        parse_line(canonical({"a": value}), "x")


@pytest.mark.parametrize("text", ["at:10.5", "[1.5]", ",3.e", ":-1.0"])
def test_a_text_may_look_like_one(text: str) -> None:
    assert parse_line(canonical({"a": text, "b": 1}), "x") == {"a": text, "b": 1}

"""The start of what was inflated before, by another inflater than the judge's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audit_stream.evidence.segment import encode, inflate, inflate_start


@given(body=st.binary(max_size=3000), times=st.integers(1, 200), size=st.integers(1, 700_000))
def test_the_start_is_what_the_whole_starts_with(body: bytes, times: int, size: int) -> None:
    stored = encode(b"{}", b"{}", body * times)
    assert inflate_start(stored, size) == inflate(stored, "x")[:size]

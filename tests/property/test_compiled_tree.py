"""The compiled root over records against the one in Python."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.evidence.compiled import compiled
from audit_stream.evidence.tree import EMPTY_ROOT, record_root, record_root_plain

HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=300)


@given(HASHES)
def test_the_root_is_the_same(hashes: list[bytes]) -> None:
    assert record_root(hashes) == record_root_plain(b"".join(hashes))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 255, 256, 257, 4097])
def test_the_root_at_the_edges_of_a_tree(count: int) -> None:
    hashes = [count.to_bytes(16, "big") + at.to_bytes(16, "big") for at in range(count)]
    assert record_root(hashes) == record_root_plain(b"".join(hashes))


def test_the_root_of_nothing() -> None:
    assert record_root([]) == EMPTY_ROOT


@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(33)])
def test_what_are_no_hashes_is_refused(wrong: bytes) -> None:
    if compiled is None:
        pytest.skip("not built: no C compiler, or no OpenSSL headers, when this was installed")
    with pytest.raises(ValueError, match="32 bytes"):
        compiled.record_root(wrong)


@pytest.mark.parametrize("template", [b"x", b"x\x05abc", b"=\x01a" * 65])
def test_a_template_that_is_none_is_refused(template: bytes) -> None:
    if compiled is None:
        pytest.skip("not built: no C compiler, or no OpenSSL headers, when this was installed")
    with pytest.raises(ValueError, match="template"):
        compiled.read_lines(b"a\n", template, tuple, {})

"""The compiled primitives of sealing against those in Python: same bytes, same refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.privacy import plain, primitives

KEY = st.binary(min_size=32, max_size=32)
TEXT = st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    if not primitives.COMPILED:
        pytest.skip("not built: no C compiler, or no OpenSSL headers, when this was installed")


@given(KEY, st.integers(0, 2**56 - 1), st.integers(0, 28), st.integers(0, 28))
def test_walk(node: bytes, path: int, one: int, two: int) -> None:
    depth, bottom = sorted((one, two))
    assert primitives.walk(node, path, depth, bottom) == plain.walk(node, path, depth, bottom)


@given(KEY, st.binary(max_size=300))
def test_hmac(key: bytes, data: bytes) -> None:
    assert primitives.hmac_sha512(key, data) == plain.hmac_sha512(key, data)


@given(KEY, st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), TEXT, TEXT)
def test_disclose(key: bytes, partition: int, offset: int, one: bytes, two: bytes) -> None:
    expected = plain.disclose(key, partition, offset, one, two)
    assert primitives.disclose(key, partition, offset, one, two) == expected


@given(KEY, KEY, st.binary(max_size=400))
def test_encrypt(key: bytes, integrity: bytes, plaintext: bytes) -> None:
    assert primitives.encrypt(key, integrity, plaintext) == plain.encrypt(key, integrity, plaintext)


@pytest.mark.parametrize("size", [0, 62, 63, 64, 65, 127, 128, 100_000])
def test_encrypt_at_the_edges_of_a_block(size: int) -> None:
    key = bytes(range(32))
    assert primitives.encrypt(key, key, b"a" * size) == plain.encrypt(key, key, b"a" * size)


@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(33)])
def test_a_key_of_another_size_is_refused(wrong: bytes) -> None:
    key = bytes(32)
    for call in (
        lambda: primitives.walk(wrong, 0, 0, 28),
        lambda: primitives.hmac_sha512(wrong, b""),
        lambda: primitives.disclose(wrong, 0, 0, b"null", b"null"),
        lambda: primitives.encrypt(wrong, key, b""),
        lambda: primitives.encrypt(key, wrong, b""),
    ):
        with pytest.raises(ValueError, match="must have 32 bytes"):
            call()


@pytest.mark.parametrize(("depth", "bottom"), [(-1, 28), (0, 29), (5, 4)])
def test_depths_outside_the_tree_are_refused(depth: int, bottom: int) -> None:
    with pytest.raises(ValueError, match="depth"):
        primitives.walk(bytes(32), 0, depth, bottom)

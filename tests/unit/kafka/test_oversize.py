"""Whether a record can be copied whole."""

from __future__ import annotations

import random

import pytest

from audit_stream.kafka.oversize import MAX_COPY_BYTES, fits

LIMIT = 100_000
DENSE = random.Random(1).randbytes(LIMIT)


@pytest.mark.parametrize(
    ("value", "does"),
    [
        (None, True), (b"", True), (DENSE[: LIMIT - 2_000], True), (DENSE, False),
        (b"x" * 20 * LIMIT, True), (DENSE[: LIMIT // 2] + b"x" * LIMIT, True),
        (b"x" * (MAX_COPY_BYTES + 1), False),
    ],
)  # fmt: skip
async def test_the_limit_is_for_a_compressed_batch(value: bytes | None, does: bool) -> None:
    assert await fits(LIMIT, None, value, []) is does


async def test_key_and_headers_count() -> None:
    assert not await fits(LIMIT, DENSE, None, [])
    assert not await fits(LIMIT, b"k", b"v", [("a", None), ("h", DENSE)])
    assert not await fits(LIMIT, None, None, [("", None)] * LIMIT)
    assert await fits(LIMIT, b"k", b"v", [("a", None), ("h", b"x" * LIMIT)])

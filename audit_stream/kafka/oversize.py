"""Records too large for the topic that takes their copy.

A broker's limit is for a compressed batch: one of 1 MiB can hold a record of hundreds. A batch that
the broker refuses would leave an idempotent producer with a gap, so its size is known beforehand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain

from aiokafka.codec import lz4_encode

#: Header of a copy that was cut: how many bytes the record's value had, in decimal digits.
TRUNCATED_HEADER = "audit-truncated"
#: No record is copied whole above this, however well it compresses: who reads it holds it.
MAX_COPY_BYTES = 64 << 20
#: For the clients' own limit, which is for what is not compressed yet.
MAX_REQUEST_BYTES = 2 * MAX_COPY_BYTES
_BATCH_BYTES = 1024  # what a batch has beside key, value and headers
_HEADER_BYTES = 10  # the lengths of a header's name and value


def cut_from(value: bytes | None) -> tuple[str, bytes]:
    """The header of a copy of this value that was cut."""
    return TRUNCATED_HEADER, str(len(value or b"")).encode()


async def fits(
    limit: int, key: bytes | None, value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
) -> bool:  # fmt: skip
    """Whether a batch of this record alone has at most `limit` bytes, compressed with LZ4."""
    named = chain.from_iterable((name.encode(), text or b"") for name, text in headers)
    parts = [key or b"", value or b"", *named]
    around = _BATCH_BYTES + _HEADER_BYTES * len(headers)
    size = around + sum(map(len, parts))
    if size <= limit or size > MAX_COPY_BYTES:
        return size <= limit
    return around + len(await asyncio.to_thread(lz4_encode, b"".join(parts))) <= limit

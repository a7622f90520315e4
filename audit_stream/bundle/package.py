"""The one form of a bundle's zip: stored, sorted by name, without times.

Two exports of the same facts are the same bytes, and every bit of the file is checked: a verifier
packs what it read again and compares. Stored, because a page must read it without help.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from struct import Struct
from zlib import crc32

from audit_stream.errors import FormatError

_LOCAL, _CENTRAL = b"PK\3\4", b"PK\1\2\x14\3"  # made by: Unix, version 2.0
_SHARED = Struct("<5H3I2H")  # version, flags, method, time, date, crc, sizes, name, extra
_REST = Struct("<3H2I")  # comment, disk, internal and external attributes, offset
_END = Struct("<4s4H2IH")
_MIDNIGHT_1980 = 33
_REGULAR_FILE = 0o100644 << 16
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*").fullmatch
MOST_FILES, MOST_BYTES = 0xFFFE, 0x7FFFFFFF


def pack(files: Mapping[str, bytes]) -> bytes:
    """The zip of these files. `FormatError` for a name or a size that it cannot have."""
    size = sum(map(len, files.values()))
    if len(files) > MOST_FILES or size > MOST_BYTES:
        raise FormatError(
            f"a bundle of {len(files)} files and {size} bytes is too large",
            hint="export it in parts",
        )
    parts: list[bytes] = []
    index: list[bytes] = []
    at = 0
    for name, data in sorted(files.items()):
        if not _NAME(name):
            raise FormatError(f"{name!r} cannot be the name of a bundle's file")
        raw = name.encode("ascii")
        shared = _SHARED.pack(
            20, 0, 0, 0, _MIDNIGHT_1980, crc32(data), len(data), len(data), len(raw), 0
        )
        parts.append(b"".join((_LOCAL, shared, raw, data)))
        index.append(b"".join((_CENTRAL, shared, _REST.pack(0, 0, 0, _REGULAR_FILE, at), raw)))
        at += len(parts[-1])
    count, length = len(index), sum(map(len, index))
    return b"".join((*parts, *index, _END.pack(b"PK\5\6", 0, 0, count, count, length, at, 0)))

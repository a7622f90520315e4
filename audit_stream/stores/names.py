"""The object names and bodies every store accepts, so that an archive can move between stores.

The rules are those of `ports.WormStore`, the narrowest of a POSIX folder, Azure and S3.
"""

from __future__ import annotations

import re

from audit_stream.errors import StoreRefused

MAX_NAME = 1024  # bytes, Azure and S3
MAX_PART = 255  # bytes, POSIX file systems

_CHARACTERS = re.compile(r"[!-\[\]-~]*")  # printable ASCII without space and backslash


def check_name(name: str) -> None:
    """Raise `StoreRefused` unless `name` may name an object."""
    if len(name) > MAX_NAME:
        raise StoreRefused(f"the object name {name[:40]!r}… is longer than {MAX_NAME} bytes")
    if not all(map(is_part, name.split("/"))):
        raise StoreRefused(f"{name!r} is not an object name", hint=_HINT)


def check_prefix(prefix: str) -> None:
    """Raise `StoreRefused` unless `prefix` can be the beginning of a name (it may be empty)."""
    *folders, rest = prefix.split("/")
    if not all(map(is_part, folders)) or not _CHARACTERS.fullmatch(rest):
        raise StoreRefused(f"no object name starts with {prefix!r}", hint=_HINT)


def check_body(name: str, data: bytes) -> None:
    """Raise `StoreRefused` on an empty body: no format has one, so it is a mistake."""
    if not data:
        raise StoreRefused(f"refusing to store nothing under {name}")


def is_part(part: str) -> bool:
    """Whether `part` may stand between two slashes of a name.

    A leading dot is kept for the stores' own files; Azure forbids a trailing one.
    """
    return (
        0 < len(part) <= MAX_PART
        and part[0] != "."
        and part[-1] != "."
        and _CHARACTERS.fullmatch(part) is not None
    )


_HINT = (
    "names are relative, printable ASCII without space or backslash, "
    f"parts of 1 to {MAX_PART} characters that neither start nor end with a dot"
)

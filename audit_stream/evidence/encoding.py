"""Small encodings the formats share: base64, base64url without padding, hexadecimal, read
strictly, so that no two texts mean the same bytes; and times."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from binascii import Error, a2b_base64
from datetime import UTC, datetime
from re import ASCII
from re import compile as re_compile

from audit_stream.errors import FormatError

_HEX = re_compile(r"[0-9a-f]*").fullmatch
_TIME = re_compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", ASCII).fullmatch
_B64U = re_compile(r"[A-Za-z0-9_-]*").fullmatch
_TO_STANDARD = str.maketrans("-_", "+/")


def time_text(milliseconds: int) -> str:
    """Milliseconds since 1970 as ``YYYY-MM-DDTHH:MM:SS.mmmZ`` (RFC 3339); `ValueError` where the
    calendar has no such year."""
    seconds, millis = divmod(milliseconds, 1000)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03d}Z"
    except (OverflowError, OSError) as error:  # by how far it is beyond the calendar
        raise ValueError(f"no calendar has the time {milliseconds} ms") from error


def is_time(text: object) -> bool:
    """Whether it has the form that `time_text` gives."""
    return isinstance(text, str) and _TIME(text) is not None


def milliseconds(text: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 time; `FormatError`."""
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError as error:
        raise FormatError(f"{text!r} is no time") from error


def b64(data: bytes) -> str:
    """Base64 with padding (RFC 4648 section 4), as C2SP formats have it."""
    return b64encode(data).decode("ascii")


def b64_decode(text: str, what: str, size: int | None = None) -> bytes:
    """The bytes of a base64 text; only the one canonical spelling is accepted."""
    try:
        data = a2b_base64(text, strict_mode=True)
    except ValueError as error:  # `Error` is one
        raise FormatError(f"{what} is not base64") from error
    return _canonical(data, b64(data) == text, "base64", what, size)


def b64u(data: bytes) -> str:
    """Base64url without padding (RFC 4648 section 5)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64u_decode(text: object, what: str, size: int | None = None) -> bytes:
    """The bytes of an unpadded base64url text; only the one canonical spelling is accepted."""
    if not isinstance(text, str) or not _B64U(text) or len(text) % 4 == 1:
        raise FormatError(f"{what} is not base64url")
    try:
        data = a2b_base64(text.translate(_TO_STANDARD) + "=" * (-len(text) % 4))
    except Error as error:
        raise FormatError(f"{what} is not base64url") from error
    return _canonical(data, b64u(data) == text, "base64url", what, size)


def _canonical(data: bytes, holds: bool, spelling: str, what: str, size: int | None) -> bytes:
    if not holds:
        raise FormatError(f"{what} is not the canonical {spelling} spelling")
    if size is not None and len(data) != size:
        raise FormatError(f"{what} has {len(data)} bytes, not {size}")
    return data


def hex_decode(text: object, what: str, size: int = 32) -> bytes:
    """The bytes of a lower-case hexadecimal text of exactly `size` bytes."""
    if not isinstance(text, str) or len(text) != 2 * size or not _HEX(text):
        raise FormatError(f"{what} is not {size} bytes in lower-case hexadecimal")
    return bytes.fromhex(text)

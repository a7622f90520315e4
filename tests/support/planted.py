"""Persons whose names no other data has, and a finder that knows them in many spellings.

Every identity holds `WORD` or `DIGITS` and then the person's number, so a finder needs few needles.
"""

from __future__ import annotations

import base64
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

WORD, DIGITS = "vqxkantor", "1555019937"
_CORES = (WORD, DIGITS)
_NUMBERED = re.compile(rf"(?:{WORD}|{DIGITS})[- .]?([0-9]{{2}})".encode())
_DEEPEST = 3
_TOKEN = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Person:
    """A recipient: some have a phone, some an e-mail address, one a name beyond ASCII."""

    number: int

    @property
    def customer(self) -> str:
        return f"Größe {WORD}-{self.number:02d}" if self.number % 3 == 0 else (
            f"CUST-{WORD}-{self.number:02d}"
        )  # fmt: skip

    @property
    def address(self) -> str:
        if self.number % 2:
            return f"+49{DIGITS}{self.number:02d}"
        return f"{WORD}.{self.number:02d}@example.org"

    @property
    def identities(self) -> tuple[str, str]:
        return self.customer, self.address


def persons_in(data: bytes) -> set[int]:
    """The numbers of those who stand there, once unpacked and decoded."""
    return {
        int(number) for layer in layers(data) for number in _NUMBERED.findall(layer.lower())
    }  # fmt: skip


def spellings_in(data: bytes) -> set[str]:
    """In which spellings anybody stands there."""
    found: set[str] = set()
    for layer in layers(data):
        lowered = layer.lower()
        for name, needle in _FOLDED:
            if needle in lowered:
                found.add(name)
        for name, needle in _EXACT:
            if needle in layer:
                found.add(name)
    return found


def layers(data: bytes, depth: int = 0) -> Iterator[bytes]:
    """The data, and what is packed or encoded in it."""
    yield data
    if depth == _DEEPEST:
        return
    for inner in _inner(data):
        yield from layers(inner, depth + 1)


def _inner(data: bytes) -> Iterator[bytes]:
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield archive.read(name)
        return
    unpacked = _inflated(data)
    if unpacked is not None:
        yield unpacked
        return
    joined = b"".join(
        base64.urlsafe_b64decode(_padded(token.group())) + b"\n" for token in _TOKEN.finditer(data)
    )
    if joined:
        yield joined


def _padded(token: bytes) -> bytes:
    token = token.rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_")
    token = token[: len(token) - 1] if len(token) % 4 == 1 else token
    return token + b"=" * (-len(token) % 4)


def _inflated(data: bytes) -> bytes | None:
    if data[:2] != _GZIP and data[:1] != b"\x78":
        return None
    try:
        return zlib.decompressobj(47).decompress(data)  # gzip or zlib, by its head
    except zlib.error:
        return None


def _spelled(core: str) -> Iterator[tuple[str, bytes]]:
    """Spellings that do not depend on case."""
    raw = core.encode()
    yield "utf-8", raw
    yield "utf-16", core.encode("utf-16-le")[:-1]  # which is in the other order, too
    yield "utf-32", core.encode("utf-32-le")[:-3]
    yield "hex", raw.hex().encode()
    yield "json", "".join(f"\\u{ord(letter):04x}" for letter in core).encode()
    yield "url", "".join(f"%{byte:02x}" for byte in raw).encode()
    yield "html", "".join(f"&#{byte};" for byte in raw).encode()
    yield "python", "".join(f"\\x{byte:02x}" for byte in raw).encode()
    yield "numbers", ", ".join(map(str, raw)).encode()
    yield "reversed", raw[::-1]


def _base64(core: str) -> Iterator[tuple[str, bytes]]:
    """Wherever it begins: what of it does not hang on its neighbours."""
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + core.encode())
        start = (before * 8 + 5) // 6
        yield "base64", whole[start : (before + len(core)) * 8 // 6]
    yield "base32", base64.b32encode(core.encode())[: len(core) * 8 // 5]


_FOLDED = [each for core in _CORES for each in _spelled(core)]
_EXACT = [each for core in _CORES for each in _base64(core)]

"""Files of JSON lines as they come: plain, gzip, zstd or standard input, with their sidecars."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import zstandard
from isal import igzip

from audit_stream.errors import ConfigError

STDIN = "-"
STDIN_NAME = "standard input"
_NAME = re.compile(r"(?P<topic>[A-Za-z0-9_-]+)\.jsonl(?:\.gz|\.zst)?\Z")
_BUFFER_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 17
_DAMAGED = (EOFError, OSError, zstandard.ZstdError)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFile:
    """One file to read. `keys` (line number from 1 → key or None) overrides the lines' own keys.

    They come from a sidecar ``<topic>.keys.json`` beside ``<topic>.jsonl[.gz|.zst]``: the way a
    file can hold records under a wrong key.
    """

    path: Path | None  # None is standard input
    topic: str | None = None  # as the file's name says
    keys: Mapping[int, bytes | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file for people."""
        return self.path.name if self.path else STDIN_NAME

    @property
    def size(self) -> int | None:
        """Bytes on disk; None for standard input."""
        return self.path.stat().st_size if self.path else None


def find_file(argument: str) -> LineFile:
    """What a command-line argument names. Raises ConfigError when it cannot be read."""
    if argument == STDIN:
        return LineFile(path=None)
    path = Path(argument)
    if not path.is_file():
        raise ConfigError(f"no such file: {path}")
    named = _NAME.match(path.name)
    if named is None:
        return LineFile(path=path)
    topic = named["topic"]
    return LineFile(path=path, topic=topic, keys=_read_keys(path.with_name(f"{topic}.keys.json")))


def _read_keys(path: Path) -> dict[int, bytes | None]:
    if not path.is_file():
        return {}
    try:
        document = orjson.loads(path.read_bytes())
        return {int(line): None if key is None else key.encode() for line, key in document.items()}
    except (orjson.JSONDecodeError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"{path.name} is not a sidecar of keys",
            hint='one JSON object of line number → key, e.g. {"17": "other", "40": null}',
        ) from error


@contextmanager
def open_lines(
    file: LineFile, offset: int = 0
) -> Iterator[tuple[Iterator[bytes], Callable[[], int]]]:
    """The lines without their line feeds, and how many bytes of the file were read so far.

    `offset`: bytes of the unpacked text to leave out. A damaged compressed file raises ConfigError
    where the damage is; lines before it were given.
    """
    raw = file.path.open("rb") if file.path else sys.stdin.buffer
    try:
        lines = _decompressed(file, raw)
        if lines is raw and offset:
            raw.seek(offset)
        else:
            _skip(lines, offset, file.name)
        yield _stripped(lines, file.name), lambda: _position(raw)
    finally:
        if file.path:
            raw.close()


def _decompressed(file: LineFile, raw: BinaryIO) -> BinaryIO:
    stream: Any
    match file.path.suffix if file.path else "":
        case ".gz":
            stream = igzip.GzipFile(fileobj=raw, mode="rb")  # type: ignore[no-untyped-call]
        case ".zst":
            stream = _ZstdReader(raw)
        case _:
            return raw
    return io.BufferedReader(stream, _BUFFER_BYTES)


class _ZstdReader(io.RawIOBase):
    """Frames one after another. zstandard's own reader takes a file cut short for a whole one."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._inside_frame = False
        self._ready = bytearray()

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; EOFError when the file ends within a frame."""
        while not self._ready:
            chunk = self._raw.read(_CHUNK_BYTES)
            if chunk:
                self._feed(chunk)
            elif self._inside_frame:
                raise EOFError("the file ends within a frame")
            else:
                return 0
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        del self._ready[:size]
        return size

    def _feed(self, chunk: bytes) -> None:
        while chunk:
            self._ready += self._frame.decompress(chunk)
            self._inside_frame = not self._frame.eof
            chunk = b""
            if self._frame.eof:
                chunk = self._frame.unused_data
                self._frame = zstandard.ZstdDecompressor().decompressobj()


def _skip(lines: BinaryIO, offset: int, name: str) -> None:
    """Read and leave out: in a packed file there is no other way."""
    try:
        while offset and (skipped := len(lines.read(min(offset, _CHUNK_BYTES)))):
            offset -= skipped
    except _DAMAGED as error:
        raise ConfigError(f"{name} is damaged: {type(error).__name__}") from error


def _stripped(lines: BinaryIO, name: str) -> Iterator[bytes]:
    try:
        for line in lines:
            yield line[:-1] if line.endswith(b"\n") else line
    except _DAMAGED as error:
        raise ConfigError(f"{name} is damaged: {type(error).__name__}") from error


def _position(raw: BinaryIO) -> int:
    return raw.tell() if raw.seekable() and not raw.closed else 0

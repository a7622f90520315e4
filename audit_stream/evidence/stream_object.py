"""The stream object: a raw topic in one generation, and where its segments begin (section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical, check_members, parse_line
from audit_stream.evidence.encoding import hex_decode
from audit_stream.evidence.signing import LineSigner, TrustedKeys, parse_signature_line

VERSION = "audit-stream/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamObject:
    """Line 1 of a stream object; fields as formats.md section 3 names them."""

    archive: str
    ended: Sequence[dict[str, Any]] | None
    generation: int
    genesis: Sequence[int]
    partitions: int
    reason: str
    stream: str
    topic: str
    topic_id: str | None
    v: str = VERSION

    def line(self) -> bytes:
        """The canonical line, without its newline."""
        return canonical(asdict(self))

    def encode(self, signer: LineSigner) -> bytes:
        """The stored bytes: both lines."""
        line = self.line()
        return line + b"\n" + signer.signature_line(line) + b"\n"


_MEMBERS = frozenset(StreamObject.__dataclass_fields__)


def decode_stream(data: bytes, what: str, keys: TrustedKeys) -> StreamObject:
    """A stream object whose signature a trusted key made; `FormatError` otherwise."""
    stream = _parse(_lines(data, what)[0], f"{what} line 1")
    if signer_of(data, keys, what) is None:
        raise FormatError(f"{what} line 2 is not the signature of a trusted key")
    return stream


def signer_of(data: bytes, keys: TrustedKeys, what: str = "a stream object") -> str | None:
    """The key id of the trusted key that signed a stream object; it names none itself."""
    line, second = _lines(data, what)
    return keys.signer_of(line, parse_signature_line(second, f"{what} line 2"))


def _lines(data: bytes, what: str) -> tuple[bytes, bytes]:
    lines = data.split(b"\n")
    if len(lines) != 3 or lines[2]:
        raise FormatError(f"{what} does not have two lines")
    return lines[0], lines[1]


def _parse(line: bytes, what: str) -> StreamObject:
    value = parse_line(line, what)
    check_members(value, VERSION, _MEMBERS, what)
    for name in ("archive", "reason", "topic"):
        if type(value[name]) is not str or not value[name]:
            raise FormatError(f"{what} {name} is not a string")
    for name in ("generation", "partitions"):
        if type(value[name]) is not int or value[name] < 1:
            raise FormatError(f"{what} {name} is not a positive integer")
    hex_decode(value["stream"], f"{what} stream", 16)
    if value["topic_id"] is not None and type(value["topic_id"]) is not str:
        raise FormatError(f"{what} topic_id is neither a string nor null")
    _check_lists(value, what)
    return StreamObject(**value)


def _check_lists(value: dict[str, Any], what: str) -> None:
    genesis, ended = value["genesis"], value["ended"]
    if not isinstance(genesis, list) or len(genesis) != value["partitions"]:
        raise FormatError(f"{what} genesis does not name every partition")
    if not all(type(base) is int and base >= 0 for base in genesis):
        raise FormatError(f"{what} genesis holds something other than offsets")
    if ended is None:
        return
    if not isinstance(ended, list):
        raise FormatError(f"{what} ended is neither a list nor null")
    for item in ended:
        if not isinstance(item, dict) or set(item) != {"leaf", "next", "partition"}:
            raise FormatError(f"{what} ended holds something other than leaf, next, partition")

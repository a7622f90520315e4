"""An anchor as a leaf of the log, `audit-anchor/1`: what makes the next timestamp renew the last.

A timestamp counts no longer than its authority's certificate and algorithms do. Once its hash is a
leaf, every later checkpoint commits to it, and so does every later timestamp over one of those: it
shows that the older one was there while it still counted (the idea of RFC 4998, without more bytes
than a line).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical, check_members, parse_line
from audit_stream.evidence.encoding import hex_decode
from audit_stream.evidence.log_names import parse_anchor_name

VERSION = "audit-anchor/1"
KIND = "audit-anchor/"
_MEMBERS = {"name", "sha256", "v"}


@dataclass(frozen=True, slots=True)
class AnchorLine:
    """The name and the hash of an anchor's object."""

    name: str
    sha256: bytes  # 32

    @property
    def size(self) -> int:
        """Of the checkpoint that it vouches for."""
        place = parse_anchor_name(self.name)
        assert place is not None
        return place[0]

    def line(self) -> bytes:
        """The leaf's data, without a newline."""
        return canonical({"name": self.name, "sha256": self.sha256.hex(), "v": VERSION})


def anchor_line(name: str, data: bytes) -> AnchorLine:
    """Of an object that stands."""
    return AnchorLine(name, sha256(data).digest())


def decode_anchor_line(line: bytes, what: str) -> AnchorLine:
    """An anchor's line; `FormatError` for any other."""
    value = parse_line(line, what)
    check_members(value, VERSION, _MEMBERS, what)
    if type(value["name"]) is not str or parse_anchor_name(value["name"]) is None:
        raise FormatError(f"{what} name is not an anchor's")
    return AnchorLine(value["name"], hex_decode(value["sha256"], f"{what} sha256"))

"""Registers: what was declared of an archive after the fact, as numbered chains of signed objects.

Redaction certificates, holds and disposals (formats.md section 3). An entry names the leaf hash of
the one before, so a missing one shows; each is a leaf of the archive log under its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical, check_version, parse_line
from audit_stream.evidence.encoding import hex_decode
from audit_stream.evidence.signing import LineSigner, TrustedKeys, parse_signature_line
from audit_stream.evidence.tree import leaf_hash

_NUMBER = re.compile(r"(?P<folder>[a-z]+/)(?P<number>\d{20})\.json")
_COMMON = {"archive", "kid", "number", "prev", "v"}


class Register(Enum):
    """The registers of an archive; the value is the version of their entries."""

    REDACTIONS = "audit-redaction/1"
    HOLDS = "audit-hold/1"
    DISPOSALS = "audit-disposal/1"

    @property
    def folder(self) -> str:
        """The prefix, with its slash, of the entries' names."""
        return f"{self.name.lower()}/"

    def entry_name(self, number: int) -> str:
        """Object name of one entry."""
        return f"{self.folder}{number:020d}.json"


_BY_FOLDER = {register.folder: register for register in Register}


@dataclass(frozen=True, slots=True)
class RegisterHead:
    """How far a register goes: the number behind its last entry's, and that one's leaf hash."""

    next: int
    leaf: bytes


def parse_entry_name(name: str) -> tuple[Register, int] | None:
    """(register, number), or None when `name` is no entry's."""
    match = _NUMBER.fullmatch(name)
    if match is None or match["folder"] not in _BY_FOLDER:
        return None
    return _BY_FOLDER[match["folder"]], int(match["number"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry; `said` are the members of its kind, which that kind's module reads."""

    register: Register
    archive: str
    kid: str  # key id of the segment key that signed it
    number: int
    prev: bytes | None  # leaf hash of the entry before; None: it is the first
    said: Mapping[str, Any]
    signature: bytes = field(default=b"", repr=False)

    @property
    def name(self) -> str:
        """Of its object."""
        return self.register.entry_name(self.number)

    @property
    def head(self) -> RegisterHead:
        """Of a register that ends with it."""
        return RegisterHead(self.number + 1, self.leaf)

    def line(self) -> bytes:
        """Line 1, without its newline."""
        return canonical({
            **self.said, "archive": self.archive, "kid": self.kid, "number": self.number,
            "prev": None if self.prev is None else self.prev.hex(), "v": self.register.value,
        })  # fmt: skip

    @property
    def leaf(self) -> bytes:
        """SHA-256(00 || line 1): what the archive log has of it."""
        return leaf_hash(self.line())

    def encode(self, signer: LineSigner) -> bytes:
        """The stored bytes: both lines."""
        line = self.line()
        return line + b"\n" + signer.signature_line(line) + b"\n"

    def is_signed(self, keys: TrustedKeys) -> bool:
        """Whether the trusted key that it names has signed it."""
        return keys.verifies(self.kid, self.line(), self.signature)


def decode_entry(data: bytes, name: str) -> Entry:
    """The entry under a name; `FormatError` for other bytes, `UnknownVersion` of a newer release's.

    Who signed it, `Entry.is_signed` says; whether `said` is what its kind has, that kind's module.
    """
    place = parse_entry_name(name)
    lines = data.split(b"\n")
    if place is None or len(lines) != 3 or lines[2]:
        raise FormatError(f"{name} does not have the two lines of a register's entry")
    register, number = place
    value = parse_line(lines[0], f"{name} line 1")
    check_version(value, register.value, f"{name} line 1")
    if not value.keys() >= _COMMON:
        raise FormatError(f"{name} lacks members that every entry has")
    if type(value["archive"]) is not str or type(value["kid"]) is not str:
        raise FormatError(f"{name} archive or kid is not a string")
    if value["number"] != number or type(value["number"]) is not int:
        raise FormatError(f"{name} says it is number {value['number']!r}")
    prev = value["prev"]
    return Entry(
        register=register, archive=value["archive"], kid=value["kid"], number=number,
        prev=None if prev is None else hex_decode(prev, f"{name} prev"),
        said={member: value[member] for member in value.keys() - _COMMON},
        signature=parse_signature_line(lines[1], f"{name} line 2"),
    )  # fmt: skip


def signer_of_entry(data: bytes, name: str, keys: TrustedKeys) -> str | None:
    """Id of the trusted key that signed line 1, of whatever version; None: nobody's, so junk."""
    line, _, rest = data.partition(b"\n")
    signature, newline, more = rest.partition(b"\n")
    if not newline or more:
        return None
    try:
        return keys.signer_of(line, parse_signature_line(signature, name))
    except FormatError:
        return None

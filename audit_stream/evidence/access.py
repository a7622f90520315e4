"""Who read what: sealed parts of access journals, `audit-journal/1`, and the log's line about them,
`audit-access/1`.

A gateway's journal is a chain of objects outside the records' chain: each names the one before, so
the head that the log's line gives commits to all of them, and a missing one shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import (
    canonical,
    check_members,
    check_version,
    kind_of,
    parse_line,
)
from audit_stream.evidence.encoding import hex_decode
from audit_stream.evidence.log_names import access_name, is_journal
from audit_stream.evidence.tree import leaf_hash

PART, LINE, ENTRY = "audit-journal/1", "audit-access/1", "audit-access-entry/1"
_ENTRY_MEMBERS = {
    "caller", "found", "kind", "messages", "query", "status", "tenants", "time", "v",
}  # fmt: skip
KIND = "audit-access/"
_HEADS = {"journal", "leaf", "next"}


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalPart:
    """One object of a journal: some minutes of entries, lines without their newline, 1 or more."""

    archive: str
    journal: str  # 16 hex digits
    number: int  # from 0, without a hole
    prev: bytes | None  # leaf hash of the part before; None of the first
    entries: Sequence[bytes]

    @property
    def name(self) -> str:
        """Of its object."""
        return access_name(self.journal, self.number)

    @property
    def leaf(self) -> bytes:
        """SHA-256(00 || line 1)."""
        return leaf_hash(self.header())

    def header(self) -> bytes:
        """Line 1, without its newline. It has no clock of its own: a redo writes the same bytes."""
        return canonical({
            "archive": self.archive, "body": sha256(self._body()).hexdigest(),
            "count": len(self.entries), "first": _time(self.entries[0]), "journal": self.journal,
            "last": _time(self.entries[-1]), "number": self.number,
            "prev": None if self.prev is None else self.prev.hex(), "v": PART,
        })  # fmt: skip

    def encode(self) -> bytes:
        """The stored bytes."""
        return self.header() + b"\n" + self._body()

    def _body(self) -> bytes:
        return b"".join(entry + b"\n" for entry in self.entries)


def decode_part(data: bytes, what: str) -> JournalPart:
    """A part whose header is of its entries; whose name it is and what came before: the reader."""
    header, *entries = data.split(b"\n")
    value = parse_line(header, what)
    check_version(value, PART, what)
    if not entries or entries.pop() != b"" or not entries:
        raise FormatError(f"{what} does not end with an entry and a newline")
    for number, entry in enumerate(entries):
        check_entry(entry, f"{what} entry {number}")
    prev = value.get("prev")
    if type(value.get("archive")) is not str or type(value.get("number")) is not int:
        raise FormatError(f"{what} has no archive and number")
    part = JournalPart(
        archive=value["archive"], journal=_journal(value.get("journal"), what),
        number=value["number"], prev=None if prev is None else hex_decode(prev, f"{what} prev"),
        entries=tuple(entries),
    )  # fmt: skip
    if part.header() != header:
        raise FormatError(f"{what} does not have the header of its entries")
    return part


def check_entry(line: bytes, what: str) -> dict[str, Any]:
    """An entry's members; `FormatError` when they are others."""
    value = parse_line(line, what)
    check_members(value, ENTRY, _ENTRY_MEMBERS, what)
    if type(value["time"]) is not str:
        raise FormatError(f"{what} time is not a string")
    return value


@dataclass(frozen=True, slots=True)
class JournalHead:
    """How far a journal is logged: the number of its next part, and the last one's leaf hash."""

    next: int
    leaf: bytes


@dataclass(frozen=True, slots=True)
class AccessLine:
    """How far each journal is logged: every batch has one, once there is a journal."""

    heads: Mapping[str, JournalHead]

    def line(self) -> bytes:
        """The leaf's data, without a newline."""
        journals = [
            {"journal": journal, "leaf": head.leaf.hex(), "next": head.next}
            for journal, head in sorted(self.heads.items())
        ]
        return canonical({"journals": journals, "v": LINE})


def decode_access_line(line: bytes, what: str) -> AccessLine:
    """The line of a batch; `FormatError` for any other."""
    value = parse_line(line, what)
    check_version(value, LINE, what)
    journals = value.get("journals")
    if not isinstance(journals, list):
        raise FormatError(f"{what} has no journals")
    heads: dict[str, JournalHead] = {}
    for each in journals:
        if not isinstance(each, dict) or set(each) != _HEADS or type(each["next"]) is not int:
            raise FormatError(f"{what} does not have journal, leaf and next")
        leaf = hex_decode(each["leaf"], f"{what} leaf")
        heads[_journal(each["journal"], what)] = JournalHead(each["next"], leaf)
    found = AccessLine(heads)
    if found.line() != line or any(head.next < 1 for head in heads.values()):
        raise FormatError(f"{what} does not have the members of {LINE}, in their order")
    return found


def is_access_line(line: bytes) -> bool:
    """Whether a leaf that names no object is of this kind, of whatever version."""
    return kind_of(line, "a leaf") == KIND


def _journal(value: Any, what: str) -> str:
    if type(value) is not str or not is_journal(value):
        raise FormatError(f"{what} journal is not 16 hexadecimal digits")
    return value


def _time(entry: bytes) -> str:
    return str(check_entry(entry, "an entry")["time"])

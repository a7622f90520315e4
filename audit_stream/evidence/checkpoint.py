"""Checkpoints of the archive log (C2SP tlog-checkpoint): its name, its size, its root.

    <origin>
    <size, decimal>
    <root, base64>

as the text of a signed note. The origin is the archive's name; no extension lines are written.
Source: https://c2sp.org/tlog-checkpoint
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from audit_stream.errors import FormatError
from audit_stream.evidence.encoding import b64, b64_decode
from audit_stream.evidence.note import Note, NoteKey, parse_note

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}").fullmatch
_HASH_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state of a log at one size."""

    origin: str
    size: int
    root: bytes  # 32

    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{encode_hash(self.root)}\n"


def encode_hash(value: bytes) -> str:
    """Base64 with padding, as every C2SP format has its hashes."""
    return b64(value)


def decode_hash(text: str, what: str) -> bytes:
    """32 bytes from their one base64 spelling."""
    return b64_decode(text, what, _HASH_BYTES)


def checkpoint_of(note: Note, what: str) -> Checkpoint:
    """What the note's text says; extension lines are allowed and left out."""
    lines = note.text.split("\n")
    if len(lines) < 4 or not lines[0] or not _SIZE(lines[1]):
        raise FormatError(f"{what} is not a checkpoint")
    if "" in lines[2:-1]:
        raise FormatError(f"{what} has an empty line among its extensions")
    root = decode_hash(lines[2], f"{what} root")
    return Checkpoint(origin=lines[0], size=int(lines[1]), root=root)


def open_checkpoint(data: bytes, key: NoteKey, what: str) -> tuple[Checkpoint, Note]:
    """A checkpoint signed by the log's key; `FormatError` for any other."""
    note = parse_note(data, what)
    checkpoint = checkpoint_of(note, what)
    if checkpoint.origin != key.name:
        raise FormatError(f"{what} is of the log {checkpoint.origin}, not of {key.name}")
    if not note.is_signed(key):
        raise FormatError(f"{what} is not signed by the log's key")
    return checkpoint, note

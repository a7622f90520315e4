"""Public keys beside a keyring's view: what a role trusts that must not sign.

One line a key: ``segment <hex>`` of 32 bytes, ``log <vkey>`` (C2SP signed-note).
"""

from __future__ import annotations

from dataclasses import dataclass

from audit_stream.errors import FormatError
from audit_stream.evidence.encoding import hex_decode
from audit_stream.evidence.note import NoteKey, parse_vkey

FILE = "public.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeys:
    """Of an archive's segments, and of its log."""

    segments: tuple[bytes, ...]
    log: NoteKey

    def encode(self) -> str:
        """The file's text."""
        lines = [f"segment {public.hex()}" for public in self.segments]
        return "".join(f"{line}\n" for line in (*lines, f"log {self.log}"))


def parse_public(text: str) -> PublicKeys:
    """From the file's text; `FormatError` for anything else."""
    segments: list[bytes] = []
    logs: list[NoteKey] = []
    for number, line in enumerate(text.splitlines(), 1):
        kind, _, value = line.partition(" ")
        if kind == "segment":
            segments.append(hex_decode(value, f"{FILE} line {number}"))
        elif kind == "log":
            logs.append(parse_vkey(value))
        else:
            raise FormatError(f"{FILE} line {number} names no segment or log key")
    if not segments or len(logs) != 1:
        raise FormatError(f"{FILE} needs segment keys and one log key")
    return PublicKeys(segments=tuple(segments), log=logs[0])

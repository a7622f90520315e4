"""A batch of the archive log, `audit-batch/1`: the only record of what the log holds.

One line of canonical JSON: the leaves with their data, and the checkpoint of the log behind them.
Put if absent under the log's old size, it decides between notaries; tiles are only a cache of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical, check_members, parse_line
from audit_stream.evidence.checkpoint import Checkpoint, open_checkpoint
from audit_stream.evidence.encoding import hex_decode
from audit_stream.evidence.note import Note, NoteKey
from audit_stream.evidence.tree import leaf_hash

VERSION = "audit-batch/1"
MOST_LEAVES = 256 + 1  # and the digest
_MEMBERS = {"checkpoint", "leaves", "new_size", "old_size", "v"}
_LEAF_MEMBERS = {"hash", "line", "name"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf's data: one line, without its newline, and the object it is line 1 of (or None)."""

    line: bytes
    name: str | None = None

    @property
    def hash(self) -> bytes:
        """SHA-256(00 || line)."""
        return leaf_hash(self.line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Leaves `old_size` to `new_size` - 1, and the signed note of the log at `new_size`."""

    old_size: int
    leaves: Sequence[Leaf]
    checkpoint: str

    @property
    def new_size(self) -> int:
        """Size of the log with this batch."""
        return self.old_size + len(self.leaves)

    def encode(self) -> bytes:
        """The stored bytes: one line and its newline."""
        leaves = [
            {"hash": each.hash.hex(), "line": each.line.decode(), "name": each.name}
            for each in self.leaves
        ]
        return canonical({
            "checkpoint": self.checkpoint, "leaves": leaves, "new_size": self.new_size,
            "old_size": self.old_size, "v": VERSION,
        }) + b"\n"  # fmt: skip

    def open(self, key: NoteKey, what: str) -> tuple[Checkpoint, Note]:
        """The checkpoint, signed by the log's key and of this batch's size."""
        checkpoint, note = open_checkpoint(self.checkpoint.encode(), key, f"{what} checkpoint")
        if checkpoint.size != self.new_size:
            raise FormatError(f"{what} checkpoint is of size {checkpoint.size}")
        return checkpoint, note


def decode_batch(data: bytes, what: str) -> Batch:
    """A batch whose leaves have the hashes it says; the checkpoint is for `Batch.open`."""
    line, newline, rest = data.partition(b"\n")
    if not newline or rest:
        raise FormatError(f"{what} is not one line")
    value = parse_line(line, what)
    check_members(value, VERSION, _MEMBERS, what)
    leaves, old, new = value["leaves"], value["old_size"], value["new_size"]
    if type(old) is not int or old < 0 or type(value["checkpoint"]) is not str:
        raise FormatError(f"{what} has no old size and checkpoint")
    if not isinstance(leaves, list) or not 1 <= len(leaves) <= MOST_LEAVES:
        raise FormatError(f"{what} does not have 1 to {MOST_LEAVES} leaves")
    if type(new) is not int or new != old + len(leaves):
        raise FormatError(f"{what} new_size is not old_size and its leaves")
    parsed = tuple(_leaf(each, f"{what} leaf {old + i}") for i, each in enumerate(leaves))
    return Batch(old_size=old, leaves=parsed, checkpoint=value["checkpoint"])


def _leaf(value: Any, what: str) -> Leaf:
    if not isinstance(value, dict) or set(value) != _LEAF_MEMBERS:
        raise FormatError(f"{what} does not have hash, line and name")
    line, name = value["line"], value["name"]
    if type(line) is not str or not (name is None or type(name) is str):
        raise FormatError(f"{what} line or name is of the wrong type")
    leaf = Leaf(line.encode(), name)
    if hex_decode(value["hash"], f"{what} hash") != leaf.hash:
        raise FormatError(f"{what} does not have the hash of its line")
    return leaf

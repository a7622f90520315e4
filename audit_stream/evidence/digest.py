"""The digest, `audit-digest/1` or `/2`: the last leaf of every batch, also when nothing came.

It says how far each partition is archived, and how far the broker's log goes: a silent partition,
a missing one and growing lag all show in the log. And how far each register is logged, so that
a notary that starts, and who follows the log, need not search it for the newest entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical, check_members, parse_line
from audit_stream.evidence.encoding import hex_decode
from audit_stream.evidence.register import Register, RegisterHead

VERSION = "audit-digest/1"
#: Of a digest that says how far registers are logged: once there is an entry.
VERSION_REGISTERS = "audit-digest/2"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Covered:
    """One partition of one stream; `end` and `log_start` are None when the broker was away."""

    topic: str
    generation: int
    partition: int
    archived_next: int  # first offset that no leaf of the log covers
    log_start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """Coverage at the time of a batch."""

    archive: str
    coverage: Sequence[Covered]
    prev_root: bytes  # of the log at the batch's old size
    time: str  # RFC 3339, ms, Z
    registers: Mapping[Register, RegisterHead] = field(default_factory=dict)  # with any entry

    def line(self) -> bytes:
        """The canonical line, without its newline."""
        reached = {
            register.folder[:-1]: {"leaf": head.leaf.hex(), "next": head.next}
            for register, head in self.registers.items()
        }
        return canonical({
            "archive": self.archive, "coverage": [asdict(each) for each in self.coverage],
            "prev_root": self.prev_root.hex(), "time": self.time,
            "v": VERSION_REGISTERS if reached else VERSION,
        } | ({"registers": reached} if reached else {}))  # fmt: skip


_MEMBERS = {"archive", "coverage", "prev_root", "time", "v"}
_COVERED = set(Covered.__dataclass_fields__)
_REGISTERS = {register.folder[:-1]: register for register in Register}


def decode_digest(line: bytes, what: str) -> Digest:
    """A digest's line; `FormatError` for any other."""
    value = parse_line(line, what)
    if value.get("v") == VERSION_REGISTERS:
        check_members(value, VERSION_REGISTERS, _MEMBERS | {"registers"}, what)
    else:
        check_members(value, VERSION, _MEMBERS, what)
    if type(value["archive"]) is not str or type(value["time"]) is not str:
        raise FormatError(f"{what} archive or time is not a string")
    if not isinstance(value["coverage"], list):
        raise FormatError(f"{what} coverage is not a list")
    coverage = tuple(_covered(each, what) for each in value["coverage"])
    places = [_place(each) for each in coverage]
    if places != sorted(set(places)):
        raise FormatError(f"{what} coverage is not sorted, each partition once")
    return Digest(
        archive=value["archive"], coverage=coverage, time=value["time"],
        prev_root=hex_decode(value["prev_root"], f"{what} prev_root"),
        registers=_registers(value["registers"], what) if "registers" in value else {},
    )  # fmt: skip


def _place(covered: Covered) -> tuple[str, int, int]:
    return covered.topic, covered.generation, covered.partition


def _covered(value: Any, what: str) -> Covered:
    if not isinstance(value, dict) or set(value) != _COVERED or type(value["topic"]) is not str:
        raise FormatError(f"{what} coverage holds something other than partitions")
    for name in ("generation", "partition", "archived_next"):
        if type(value[name]) is not int or value[name] < 0:
            raise FormatError(f"{what} coverage {name} is not a number")
    for name in ("end", "log_start"):
        if value[name] is not None and (type(value[name]) is not int or value[name] < 0):
            raise FormatError(f"{what} coverage {name} is neither a number nor null")
    return Covered(**value)


def _registers(value: Any, what: str) -> dict[Register, RegisterHead]:
    if not isinstance(value, dict) or not value or not value.keys() <= _REGISTERS.keys():
        raise FormatError(f"{what} registers are not some of {', '.join(sorted(_REGISTERS))}")
    found: dict[Register, RegisterHead] = {}
    for name, head in value.items():
        if not isinstance(head, dict) or set(head) != {"leaf", "next"}:
            raise FormatError(f"{what} registers {name} does not have leaf and next")
        if type(head["next"]) is not int or head["next"] < 1:
            raise FormatError(f"{what} registers {name} next is not the number behind an entry's")
        leaf = hex_decode(head["leaf"], f"{what} registers {name} leaf")
        found[_REGISTERS[name]] = RegisterHead(head["next"], leaf)
    return found

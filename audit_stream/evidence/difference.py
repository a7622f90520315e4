"""Where two record lines of one offset, or two ledgers of one range, differ; without personal data.

Only values of a closed form are ever told (a status, a number, a position, a time): whatever else
stands in a line could be anything, in an archive that was tampered with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import orjson

from audit_stream.evidence.ledger import Run, in_step
from audit_stream.evidence.record import ERASED_MEMBERS, MEMBERS, VERSION
from audit_stream.precedence.matrix import RANK

#: What an erasure takes away: the digests go, the mark comes, nothing is left to decipher.
SEALED_FIELDS = frozenset(("_sd", "erased"))
_KNOWN = MEMBERS | ERASED_MEMBERS | {"integrity_hash", "pii"}
_HIDDEN = "another value"
_NONE = "nothing"
_PII_NULL = b'","pii":null,'
_AT_PII = len('{"integrity_hash":"sha256:') + 64
_POSITION = re.compile(r"[A-Za-z0-9._-]{1,249}(/[0-9]{1,19}){2,3}").fullmatch
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII).fullmatch


def _is_position(value: Any) -> bool:
    return value is None or (isinstance(value, str) and bool(_POSITION(value)))


_TELLABLE: Mapping[str, Callable[[Any], bool]] = {
    "delivery_status": lambda value: isinstance(value, str) and value in RANK,
    "ingestion_timestamp": lambda value: isinstance(value, str) and bool(_TIME(value)),
    "legal_hold": lambda value: isinstance(value, bool),
    "origin": _is_position,
    "revision": lambda value: type(value) is int,
    "source": _is_position,
    "supersedes": _is_position,
    "v": lambda value: value == VERSION,
}


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """The first field that differs, and the two values as far as they may be told."""

    field: str
    one: str
    other: str


def line_difference(one: bytes, other: bytes) -> FieldDifference | None:
    """The first difference of two record lines, None if there is none.

    Where one of them was sealed for an erased person, all but `_sd`, `erased`, `pii` and the
    integrity hash (which follows from `pub`) is compared.
    """
    if one == other:
        return None
    first, second = _parse(one), _parse(other)
    if first is None or second is None:
        return FieldDifference("line", *("record" if it else "none" for it in (first, second)))
    pub, other_pub = first["pub"], second["pub"]
    found = _first_member(pub, other_pub, without=SEALED_FIELDS)
    if found is not None or ("erased" in pub) != ("erased" in other_pub):
        return found
    return (
        _first_member(pub, other_pub)
        or _first_member(first, second, without={"pub"})
        or FieldDifference("line", "one form", "another form")
    )


def is_erased(line: bytes) -> bool:
    """Whether the line was sealed for an erased person."""
    return line.startswith(_PII_NULL, _AT_PII)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    known = isinstance(value, dict) and isinstance(value.get("pub"), dict)
    return value if known else None


def _first_member(
    one: Mapping[str, Any], other: Mapping[str, Any], without: Set[str] = frozenset()
) -> FieldDifference | None:
    for name in sorted((one.keys() | other.keys()) - without):
        if not (name in one and name in other and _same(one[name], other[name])):
            return FieldDifference(_field(name), _tell(name, one), _tell(name, other))
    return None


def _same(one: object, other: object) -> bool:
    """Equal, and 1 is not true."""
    return type(one) is type(other) and one == other


def _field(name: str) -> str:
    return name if name in _KNOWN else "a member no record has"


def _tell(name: str, members: Mapping[str, Any]) -> str:
    if name not in members:
        return _NONE
    tellable, value = _TELLABLE.get(name), members[name]
    if tellable is None or not tellable(value):
        return _HIDDEN
    return "null" if value is None else str(value)


def first_other(one: list[Run], other: list[Run]) -> tuple[int, str, str] | None:
    """Where two ledgers of one length first differ, and the letters there; or None."""
    at = 0
    for count, letter, second in in_step(one, other):
        if letter != second:
            return at, letter, second
        at += count
    return None

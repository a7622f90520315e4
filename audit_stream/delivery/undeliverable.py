"""An entry of ``audit-undeliverable``: where a record stands, and how the receiver refused it.

The record itself is never copied there: who tries again reads it from the archive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from urllib.parse import quote, quote_plus

import orjson

from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical, check_members, parse_line

VERSION = "audit-undeliverable/1"
_REPLACED = "[personal]"
_INTEGERS = ("generation", "offset", "partition", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Undeliverable:
    """One record that the receiver would not take. `at` is RFC 3339."""

    target: str
    topic: str
    generation: int
    partition: int
    offset: int
    segment: str  # name of its object
    key: str  # its idempotency key, which a retry keeps
    status: int  # of HTTP
    answer: str = field(repr=False)  # its beginning, without the record's personal values
    at: str

    def encode(self) -> bytes:
        """The topic's value."""
        return canonical(asdict(self) | {"v": VERSION})


_MEMBERS = frozenset(Undeliverable.__dataclass_fields__) | {"v"}


def parse_undeliverable(value: bytes, what: str) -> Undeliverable:
    """From the topic's value; `FormatError`."""
    found = parse_line(value, what)
    check_members(found, VERSION, _MEMBERS, what)
    for name in _MEMBERS - {"v"}:
        if type(found[name]) is not (int if name in _INTEGERS else str):
            raise FormatError(f"{what} {name} is not what it should be")
    return Undeliverable(**{name: found[name] for name in _MEMBERS - {"v"}})


def without(answer: str, values: Iterable[str]) -> str:
    """The answer without the values that were posted, however it spells them: as they are, as in
    JSON, as in a URL; in whatever case."""
    spellings = {spelling for value in values if value for spelling in _spellings(value)}
    if not spellings:
        return answer
    longest_first = sorted(spellings, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), _REPLACED, answer, flags=re.IGNORECASE)


def _spellings(value: str) -> set[str]:
    escaped = value.encode("unicode_escape").decode("ascii")
    return {
        value, orjson.dumps(value).decode()[1:-1], escaped, quote(value), quote(value, safe=""),
        quote_plus(value), " ".join(value.split()),
    } - {""}  # fmt: skip

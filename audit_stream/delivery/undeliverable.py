"""An entry of ``audit-undeliverable``: where a record stands, and how the receiver refused it.

The record itself is never copied there: who tries again reads it from the archive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from html import escape, unescape
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import orjson

from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical, check_members, parse_line

VERSION = "audit-undeliverable/1"
MOST_KEPT = 1000  # characters of an answer, some more where a value stands at the end of them
_REPLACED = "[personal]"
_ESCAPED = re.compile(r"\\(?:u([0-9a-f]{4})|x([0-9a-f]{2}))", re.IGNORECASE)
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


def kept(answer: str, values: Collection[str]) -> str:
    """What is kept of an answer: its first `MOST_KEPT` characters, and no value that was posted.

    A value is taken out however it is spelt: as it is, as in JSON, HTML or a URL, in whatever case,
    and whole where the end would cut it. An answer that shows one in yet another way is left out.
    """
    spellings = {spelling for value in values if value for spelling in _spellings(value)}
    if not spellings:
        return answer[:MOST_KEPT]
    longest_first = sorted(spellings, key=len, reverse=True)
    found = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
    parts, end = list[str](), 0
    for match in found.finditer(answer):
        if match.start() >= MOST_KEPT:
            break
        parts += [answer[end : match.start()], _REPLACED]
        end = match.end()
    text = "".join([*parts, answer[end:MOST_KEPT]])
    return _REPLACED if _shows(text.replace(_REPLACED, "\0"), values) else text


def _shows(text: str, values: Collection[str]) -> bool:
    """Whether a value can be read in a text once its escapes are undone, whatever they are of."""
    plain = _ESCAPED.sub(lambda match: chr(int(match[1] or match[2], 16)), unescape(text))
    plain = plain.replace("\\", "")
    seen = [each.casefold() for each in (text, plain, unquote(plain), unquote_plus(plain))]
    return any(value.casefold() in each for value in values if value for each in seen)


def _spellings(value: str) -> set[str]:
    escaped = value.encode("unicode_escape").decode("ascii")
    return {
        value, orjson.dumps(value).decode()[1:-1], json.dumps(value)[1:-1], escaped, escape(value),
        quote(value), quote(value, safe=""), quote_plus(value), " ".join(value.split()),
    } - {""}  # fmt: skip

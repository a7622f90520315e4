"""The canonical form of every line we write: RFC 8785 (JCS), as far as our lines need it.

`orjson` with sorted keys equals JCS byte for byte while keys are ASCII and no float occurs; the
tests hold it against the ``rfc8785`` package (formats.md, "Canonical form").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import orjson

from audit_stream.errors import FormatError, UnknownVersion

#: What any float looks like in canonical form; a text may look so, too, and is seldom met.
_FLOAT_LIKE = re.compile(rb"[:,\[]-?[0-9]+[.e]")
#: No canonical integer is further from 0 (RFC 7493 section 2.2).
MAX_INTEGER = 2**53 - 1
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


def canonical(value: Any) -> bytes:
    """JCS bytes of a value made of str, int within 2^53-1, bool, None, lists and dicts."""
    return orjson.dumps(value, option=_OPTIONS)


def parse_line(line: bytes, what: str) -> dict[str, Any]:
    """Parse one stored line; `FormatError` unless it is an object in canonical form, float-free."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise FormatError(f"{what} is not JSON: {error.msg}") from error
    if not isinstance(value, dict):
        raise FormatError(f"{what} is not a JSON object")
    try:
        again = canonical(value)  # first: it also refuses what is nested too deep to walk
    except orjson.JSONEncodeError as error:
        raise FormatError(f"{what} has no canonical form: {error}") from error
    if again != line:
        raise FormatError(f"{what} is not in canonical form (RFC 8785)")
    if _FLOAT_LIKE.search(line) and _holds_float(value):
        raise FormatError(f"{what} holds a number that is not an integer")
    return value


def kind_of(line: bytes, what: str) -> str:
    """What a line is, of whatever version: ``audit-key/`` of ``audit-key/1``. `FormatError` when it
    is no line."""
    kind, slash, _ = str(parse_line(line, what).get("v")).partition("/")
    return kind + slash


def check_version(value: Mapping[str, Any], known: str, what: str, name: str = "v") -> None:
    """That a line is of the version ``kind/n`` known here. `UnknownVersion` for another of its
    kind, which says nothing of right or wrong; `FormatError` for another kind."""
    version, kind = value.get(name), known.partition("/")[0]
    if version == known:
        return
    if isinstance(version, str) and version.startswith(f"{kind}/"):
        raise UnknownVersion(
            f"{what} has the version {version}, which this release does not know",
            hint="use a newer release for it",
        )
    raise FormatError(f"{what} {name} is not {known}")


def check_members(
    value: Mapping[str, Any], known: str, members: AbstractSet[str], what: str
) -> None:  # fmt: skip
    """That a line is of the version known here and has its members, no more and no fewer."""
    check_version(value, known, what)
    if value.keys() != members:
        raise FormatError(f"{what} does not have the members of {known}")


def _holds_float(value: Any) -> bool:
    """Whether a parsed JSON value holds a float anywhere."""
    if isinstance(value, dict):
        return any(_holds_float(item) for item in value.values())
    if isinstance(value, list):
        return any(_holds_float(item) for item in value)
    return isinstance(value, float)

"""How else a person's id or address may be spelt in the archive, for the dry run of an erasure.

Subjects are compared byte for byte (formats.md section 5), and nobody folded what the platform
sent. A variant is a question to the archive, never an answer: one that is found may be another
person's (``0042`` and ``42``), so an officer decides on each.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from audit_stream.erasure.spelling import email_forms, phone_forms, without_prefix

LIMIT: Final = 200
AS_TYPED: Final = "as typed"
_SPACE: Final = "white space"
_PHONE: Final = "phone form"
_ZEROS: Final = "leading zeros"
_CHANGES: Final = 2  # of one reason each, between what was typed and a variant
_DIGITS_LAST = re.compile(r"(\D*)([0-9]{1,18})")
_WIDTHS: Final = (8, 10, 12)


class Variant(NamedTuple):
    """One spelling, and in what it differs from the typed one."""

    text: str
    reason: str

    def __repr__(self) -> str:
        return f"Variant({self.reason!r})"  # who it is must not reach a log


def variants(typed: str) -> list[Variant]:
    """At most `LIMIT` spellings, each once: the typed one, then those the fewest changes away.

    White space around what was typed is not counted as a change. The order and the choice depend on
    nothing but `typed`.
    """
    found = {typed: AS_TYPED}
    if typed.strip():
        found.setdefault(typed.strip(), _SPACE)
    last = list(found)
    for _ in range(_CHANGES):
        last = list(_add_changes(found, last))
    return [Variant(*each) for each in found.items()]


def _add_changes(found: dict[str, str], texts: list[str]) -> Iterator[str]:
    """Put what is one change away from `texts` into `found`, as long as there is room."""
    for text in texts:
        for changed, reason in _changed(text, found[text]):
            if len(found) == LIMIT:
                return
            if changed.strip() and changed not in found:
                found[changed] = _joined(found[text], reason)
                yield changed


def _joined(before: str, reason: str) -> str:
    reasons = [] if before == AS_TYPED else before.split(", ")
    return ", ".join(dict.fromkeys((*reasons, reason)))


def _changed(text: str, before: str) -> Iterator[tuple[str, str]]:
    for reason, forms in _STEPS.items():
        if reason == _PHONE and _ZEROS in before:
            continue  # a national number without its zero is another country's
        for form in forms(text):
            yield form, reason


def _spaces(text: str) -> Iterator[str]:
    parts = text.split()  # at any white space Unicode knows
    yield " ".join(parts)
    yield "".join(parts)
    yield f"{' '.join(parts)} "
    yield f" {' '.join(parts)}"


def _invisible(text: str) -> Iterator[str]:
    """Without what is pasted along unseen: marks of direction, joiners, byte order marks."""
    yield "".join(each for each in text if unicodedata.category(each) != "Cf")


def _cases(text: str) -> Iterator[str]:
    yield text.lower()
    yield text.upper()
    yield text.title()
    yield text.casefold()


def _unicode(text: str) -> Iterator[str]:
    yield unicodedata.normalize("NFC", text)
    yield unicodedata.normalize("NFD", text)
    yield unicodedata.normalize("NFKC", text)


def _prefix(text: str) -> Iterator[str]:
    yield without_prefix(text)


def _zeros(text: str) -> Iterator[str]:
    """Digits at the end, behind whatever: without zeros before them, one more, to common widths."""
    match = _DIGITS_LAST.fullmatch(text)
    if match is None:
        return
    head, digits = match[1], match[2].lstrip("0") or "0"
    yield head + digits
    yield f"{head}0{match[2]}"
    for width in _WIDTHS:
        yield head + digits.zfill(width)


_STEPS: Final[dict[str, Callable[[str], Iterator[str]]]] = {
    _SPACE: _spaces,
    "invisible characters": _invisible,
    "case": _cases,
    "Unicode form": _unicode,
    "prefix": _prefix,
    _PHONE: phone_forms,
    "e-mail form": email_forms,
    _ZEROS: _zeros,
}

"""The ledger: one letter for each offset a segment covers, run-length coded (formats.md section 2).

``2ia3id`` reads: two intermediate, one archived, three intermediate, one duplicate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from audit_stream.errors import FormatError

ARCHIVED = "a"
INTERMEDIATE = "i"
DUPLICATE = "d"
REGRESSED = "r"
QUARANTINED = "q"
ABSENT = "x"
LOST = "l"

#: Every letter with its meaning; `c` and `k` are reserved and invalid today.
MEANING = {
    ARCHIVED: "archived",
    INTERMEDIATE: "intermediate",
    DUPLICATE: "duplicate",
    REGRESSED: "regressed",
    QUARANTINED: "quarantined",
    ABSENT: "absent",
    LOST: "lost",
}
#: Letters of offsets at which the broker has no record (any more).
VOID_LETTERS = frozenset((ABSENT, LOST))

_REPEATED = re.compile(r"(.)\1+")
#: Possessive throughout: a hostile ledger is read once, from the left.
_FORM = re.compile(r"(?:(?:[1-9][0-9]{1,15}|[2-9])?+[aidrqxl])*+")
_NEIGHBOURS = re.compile(r"([aidrqxl])[0-9]*\1")
_CODED = re.compile(r"([0-9]*)([aidrqxl])")
_COUNTED = re.compile(r"([0-9]+)([aidrqxl])")


def encode(letters: str) -> str:
    """Code one letter per offset as maximal runs; the count is left out when it is one."""
    return _REPEATED.sub(lambda run: f"{run.end() - run.start()}{run[1]}", letters)


def decode(ledger: object, span: int) -> list[tuple[int, str]]:
    """The runs ``(count, letter)`` of a coded ledger; `FormatError` unless they cover `span`.

    Strict: maximal runs only, no count of 0 or 1, no leading zero, known letters only.
    """
    runs = [(int(count or 1), letter) for count, letter in _CODED.findall(_formed(ledger))]
    _check_span(sum([count for count, _ in runs]), span)
    return runs


def totals(ledger: object, span: int) -> dict[str, int]:
    """How many offsets each letter of `MEANING` has, zero included; as strict as `decode`, and
    several times faster."""
    if not isinstance(ledger, str):
        raise FormatError("ledger is not a string")
    found = dict(zip(MEANING, _counted(ledger), strict=True))
    _check_span(sum(found.values()), span)
    return found


@lru_cache(maxsize=4)  # who verifies a segment asks several times, of its header and of its records
def _counted(ledger: str) -> tuple[int, ...]:
    text = _formed(ledger)
    found = {letter: text.count(letter) for letter in MEANING}
    for count, letter in _COUNTED.findall(text):
        found[letter] += int(count) - 1
    return tuple(found.values())


def _formed(ledger: object) -> str:
    if not isinstance(ledger, str):
        raise FormatError("ledger is not a string")
    form = _FORM.match(ledger)
    if form is None or form.end() != len(ledger):
        raise FormatError(f"ledger is malformed at character {form.end() if form else 0}")
    if (twice := _NEIGHBOURS.search(ledger)) is not None:
        raise FormatError(f"ledger has two neighbouring runs of {twice[1]!r}")
    return ledger


def _check_span(total: int, span: int) -> None:
    if total != span:
        raise FormatError(f"ledger does not cover its {span} offsets")


def archived_offsets(runs: list[tuple[int, str]], base: int) -> Iterator[int]:
    """The offsets with the letter ``a``, ascending."""
    return offsets_with(ARCHIVED, runs, base)


def offsets_with(wanted: str, runs: list[tuple[int, str]], base: int) -> Iterator[int]:
    """The offsets with a letter, ascending."""
    offset = base
    for count, letter in runs:
        if letter == wanted:
            yield from range(offset, offset + count)
        offset += count

"""The ledger: one letter for each offset a segment covers, run-length coded (formats.md section 2).

``2ia3id`` reads: two intermediate, one archived, three intermediate, one duplicate.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby

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

#: A run: how many offsets one after another have a letter. A hole can have 10**9.
Run = tuple[int, str]

#: Possessive throughout: a hostile ledger is read once, from the left.
_FORM = re.compile(r"(?:(?:[1-9][0-9]{1,15}|[2-9])?+[aidrqxl])*+")
_NEIGHBOURS = re.compile(r"([aidrqxl])[0-9]*\1")
_CODED = re.compile(r"([0-9]*)([aidrqxl])")
_COUNTED = re.compile(r"([0-9]+)([aidrqxl])")


def runs_of(letters: Iterable[str | Run]) -> list[Run]:
    """The maximal runs of one letter per offset; a run among them must be one already."""
    return [
        letter if type(letter) is tuple else (len([*same]), str(letter))
        for letter, same in groupby(letters)
    ]


def encode(runs: Iterable[Run]) -> str:
    """Code maximal runs; the count is left out when it is one."""
    return "".join([letter if count == 1 else f"{count}{letter}" for count, letter in runs])


class Writer:
    """Codes a ledger that comes in pieces: what is held grows with its runs, not its offsets."""

    def __init__(self) -> None:
        self._coded: list[str] = []
        self._last: Run = (0, "")  # it may go on

    def add(self, runs: list[Run]) -> None:
        """Take maximal runs that continue what came before."""
        if not runs:
            return
        count, letter = self._last
        if runs[0][1] == letter:
            runs = [(count + runs[0][0], letter), *runs[1:]]
        elif count:
            self._coded.append(encode([self._last]))
        self._coded.append(encode(runs[:-1]))
        self._last = runs[-1]

    @property
    def coded(self) -> str:
        """The ledger so far."""
        return "".join(self._coded) + (encode([self._last]) if self._last[0] else "")


def letter_counts(runs: Iterable[Run]) -> Counter[str]:
    """How many offsets each letter has, of those there are."""
    counted: dict[str, int] = {}  # a Counter is slower to add to, and each chunk is counted
    for n, letter in runs:
        counted[letter] = counted.get(letter, 0) + n
    return Counter(counted)


def part(runs: Iterable[Run], start: int, stop: int) -> list[Run]:
    """The runs of the offsets [start, stop), counted from the first one's."""
    found = []
    at = 0
    for n, letter in runs:
        there = min(at + n, stop) - max(at, start)
        if there > 0:
            found.append((there, letter))
        at += n
    return found


def in_step(one: Iterable[Run], other: Iterable[Run]) -> Iterator[tuple[int, str, str]]:
    """Two ledgers of one length side by side: how many offsets, the one's letter, the other's."""
    others = iter(other)
    right, second = 0, ""
    for count, letter in one:
        left = count
        while left:
            if not right:
                right, second = next(others)
            both = min(left, right)
            yield both, letter, second
            left, right = left - both, right - both


def decode(ledger: object, span: int) -> list[Run]:
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


def archived_offsets(runs: list[Run], base: int) -> Iterator[int]:
    """The offsets with the letter ``a``, ascending."""
    return offsets_with(ARCHIVED, runs, base)


def offsets_with(wanted: str, runs: list[Run], base: int) -> Iterator[int]:
    """The offsets with a letter, ascending."""
    offset = base
    for count, letter in runs:
        if letter == wanted:
            yield from range(offset, offset + count)
        offset += count

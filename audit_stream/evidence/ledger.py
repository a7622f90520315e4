"""The ledger: one letter for each offset a segment covers, run-length coded (formats.md section 2).

``2ia3id`` reads: two intermediate, one archived, three intermediate, one duplicate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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

_RUNS = re.compile(r"(.)\1*")
_CODED = re.compile(r"(?:([2-9]|[1-9][0-9]+)?([aidrqxl]))")


def encode(letters: str) -> str:
    """Code one letter per offset as maximal runs; the count is left out when it is one."""
    runs = (match.group() for match in _RUNS.finditer(letters))
    return "".join(f"{len(run)}{run[0]}" if len(run) > 1 else run for run in runs)


def decode(ledger: object, span: int) -> list[tuple[int, str]]:
    """The runs ``(count, letter)`` of a coded ledger; `FormatError` unless they cover `span`.

    Strict: maximal runs only, no count of 0 or 1, no leading zero, known letters only.
    """
    if not isinstance(ledger, str):
        raise FormatError("ledger is not a string")
    runs: list[tuple[int, str]] = []
    total = 0
    for count, letter in _tokens(ledger):
        if runs and runs[-1][1] == letter:
            raise FormatError(f"ledger has two neighbouring runs of {letter!r}")
        total += count
        if total > span:  # before the counts can grow past anything sensible
            break
        runs.append((count, letter))
    if total != span:
        raise FormatError(f"ledger does not cover its {span} offsets")
    return runs


def _tokens(ledger: str) -> Iterator[tuple[int, str]]:
    position = 0
    while position < len(ledger):
        match = _CODED.match(ledger, position)
        if match is None or len(match.group()) > len("9007199254740991a"):
            raise FormatError(f"ledger is malformed at character {position}")
        count, letter = match.groups()
        yield (int(count) if count else 1), letter
        position = match.end()


def counts(runs: list[tuple[int, str]]) -> dict[str, int]:
    """How many offsets each letter of `MEANING` has, zero included."""
    totals = dict.fromkeys(MEANING, 0)
    for count, letter in runs:
        totals[letter] += count
    return totals


def archived_offsets(runs: list[tuple[int, str]], base: int) -> Iterator[int]:
    """The offsets with the letter ``a``, ascending."""
    offset = base
    for count, letter in runs:
        if letter == ARCHIVED:
            yield from range(offset, offset + count)
        offset += count
